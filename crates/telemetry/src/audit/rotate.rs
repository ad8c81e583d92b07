//! The audit file, set aside when it is large or old.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    file::{OpenError, open},
    time::write_rfc3339,
};

/// When a file is set aside, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// In bytes; `None`: however large it grows.
    pub size_max: Option<u64>,
    /// `None`: however old it becomes.
    pub age_max: Option<Duration>,
    /// Files that are kept beside the one that is written; older ones are deleted. `None`: all.
    pub kept_max: Option<usize>,
    /// They are compressed (gzip).
    pub compresses: bool,
}

/// A file that is set aside between two lines, under its name and the time: `audit.jsonl.2026-11-25T10-00-00.000000000Z`.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    size: u64,
    began: Instant,
    /// The last byte that was written ended a line.
    is_between_lines: bool,
}

impl RotatingFile {
    /// # Errors
    /// The system's, with what to do about it.
    pub fn open(path: &Path, rotation: Rotation) -> Result<Self, OpenError> {
        let file = open(path)?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        let path = path.to_owned();
        Ok(Self { path, rotation, file, size, began: Instant::now(), is_between_lines: true })
    }

    fn is_due(&self, more: usize) -> bool {
        let is_full = self.rotation.size_max.is_some_and(|max| self.size + more as u64 > max);
        let is_old = self.rotation.age_max.is_some_and(|max| self.began.elapsed() >= max);
        self.is_between_lines && self.size > 0 && (is_full || is_old)
    }

    fn rotate(&mut self) -> io::Result<()> {
        let aside = aside(&self.path);
        fs::rename(&self.path, &aside)?;
        self.file = open(&self.path).map_err(io::Error::other)?;
        (self.size, self.began) = (0, Instant::now());
        let (path, rotation) = (self.path.clone(), self.rotation.clone());
        // Compressing takes seconds, and records would be lost meanwhile. Without a thread it stays as it is.
        let tidy = move || {
            if rotation.compresses {
                let _ = compress(&aside);
            }
            if let Some(kept_max) = rotation.kept_max {
                let _ = delete_oldest(&path, kept_max);
            }
        };
        let _ = thread::Builder::new().name("audit-tidy".into()).spawn(tidy);
        Ok(())
    }
}

impl Write for RotatingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_due(bytes.len()) {
            self.rotate()?;
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        self.is_between_lines = bytes.get(..written).and_then(<[u8]>::last).is_none_or(|last| *last == b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn aside(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut time = Vec::new();
    write_rfc3339(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX), &mut time);
    let time = String::from_utf8_lossy(&time).replace(':', "-");
    with_suffix(path, &format!(".{time}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Leaves the plain file until the compressed one is whole.
fn compress(path: &Path) -> io::Result<()> {
    let (target, unfinished) = (with_suffix(path, ".gz"), with_suffix(path, ".gz.part"));
    let out = open(&unfinished).map_err(io::Error::other)?;
    let mut encoder = GzEncoder::new(out, Compression::default());
    io::copy(&mut File::open(path)?, &mut encoder)?;
    encoder.finish()?.sync_all()?;
    fs::rename(&unfinished, &target)?;
    fs::remove_file(path)
}

/// Their names sort as their times do.
fn delete_oldest(path: &Path, kept_max: usize) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Ok(()) };
    let is_aside = |file: &str| {
        let time = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
        time.is_some_and(|time| time.starts_with(|first: char| first.is_ascii_digit()) && time.contains('T'))
    };
    let mut files: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(is_aside))
        .collect();
    files.sort();
    let excess = files.len().saturating_sub(kept_max);
    files.iter().take(excess).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn wait_for(condition: impl Fn() -> bool) {
        let ends = Instant::now() + Duration::from_secs(10);
        while !condition() && Instant::now() < ends {
            thread::sleep(Duration::from_millis(5));
        }
        assert!(condition());
    }

    #[test]
    fn large_files_are_set_aside_between_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let rotation = Rotation { size_max: Some(10), kept_max: Some(2), ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).unwrap();
        for line in ["first\n", "sec", "ond\n", "third\n", "fourth\n", "fifth\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        wait_for(|| files(folder.path()).len() == 3);
        let contents: Vec<_> = files(folder.path())
            .iter()
            .map(|name| fs::read_to_string(folder.path().join(name)).unwrap())
            .collect();
        assert_eq!(contents, ["fifth\n", "third\n", "fourth\n"]);
    }

    #[test]
    fn old_files_are_set_aside_and_compressed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let rotation = Rotation { age_max: Some(Duration::ZERO), compresses: true, ..Rotation::default() };
        let mut file = RotatingFile::open(&path, rotation).unwrap();
        file.write_all(b"first\n").unwrap();
        file.write_all(b"second\n").unwrap();
        wait_for(|| files(folder.path()).get(1).is_some_and(|name| name.ends_with(".gz")));
        let packed = File::open(folder.path().join(&files(folder.path())[1])).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed).read_to_string(&mut text).unwrap();
        assert_eq!(text, "first\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "second\n");
    }

    #[test]
    fn an_empty_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { size_max: Some(1), ..Rotation::default() };
        let mut file = RotatingFile::open(&folder.path().join("a"), rotation).unwrap();
        file.write_all(b"longer than that\n").unwrap();
        assert_eq!(files(folder.path()), ["a"]);
    }
}
