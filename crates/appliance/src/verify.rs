//! `audit verify`: whether the lines of an audit stream vouch for each other.

use std::{
    error::Error,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
};

use flate2::bufread::MultiGzDecoder;
use wsi_telemetry::audit::Chain;

/// Follows the chain through the files, the oldest first.
///
/// # Errors
/// A file that can't be opened.
pub(crate) fn verify(files: &[PathBuf]) -> Result<ExitCode, Box<dyn Error>> {
    let mut chain = Chain::default();
    let mut lines = 0;
    for (number, path) in files.iter().enumerate() {
        let before = chain.sequence;
        match chain.verify(open(path)?, number == 0) {
            Ok(after) => chain = after,
            Err(broken) => {
                println!("{}: {broken}", path.display());
                return Ok(ExitCode::FAILURE);
            }
        }
        lines += if number == 0 { 0 } else { chain.sequence - before };
    }
    let hash: String = chain.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let more = if lines > 0 { format!(", {lines} of them behind the first file") } else { String::new() };
    println!("whole up to record {}{more}; hash {hash}: compare it with your notes", chain.sequence);
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Box<dyn Error>> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file = BufReader::new(file);
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if is_compressed { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}
