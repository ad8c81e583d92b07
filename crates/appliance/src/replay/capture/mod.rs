//! Recorded traffic, whichever way it was recorded.

pub(super) mod lines;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use super::player::{Fault, Player};

/// Enough to tell one format from another, and what a read takes.
const BUFFER_SIZE: usize = 64 << 10;

/// Plays the file at `path`.
///
/// # Errors
/// What is wrong with it, where, and what to do; or the output's.
pub(super) fn play(player: &mut Player<'_>, path: &Path) -> Result<(), Fault> {
    let name = path.display().to_string();
    let unreadable =
        |error| format!("{name}: can't be read: {error}; check the path and that the file may be read");
    let mut file = BufReader::with_capacity(BUFFER_SIZE, File::open(path).map_err(unreadable)?);
    let start = file.fill_buf().map_err(unreadable)?;
    if start.is_empty() {
        return Err(format!("{name}: is empty; record the traffic again").into());
    }
    player.begin(&name)?;
    lines::play(player, file, &name)
}
