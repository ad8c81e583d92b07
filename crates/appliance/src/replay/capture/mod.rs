//! Recorded traffic, whichever way it was recorded.

pub(super) mod har;
pub(super) mod lines;
pub(super) mod pcap;

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use super::player::{Fault, Player};

/// Enough to tell one format from another, and what a read takes.
const BUFFER_SIZE: usize = 64 << 10;
/// The latest time, in milliseconds: that of the year 2286.
const TIME_MAX_MS: f64 = 1e13;
/// The largest payload of a control frame, in bytes (RFC 6455 section 5.5).
const CONTROL_SIZE_MAX: usize = 125;

/// The first bytes of pcap, by byte order and unit of time, and of pcapng.
const PACKETS: [[u8; 4]; 6] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x34, 0xcd, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

enum Format {
    Har,
    Lines,
    Pcap,
}

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
    let format = Format::of(start).map_err(|why| format!("{name}: {why}"))?;
    player.begin(&name)?;
    match format {
        Format::Har => har::play(player, file, &name),
        Format::Lines => lines::play(player, file, &name),
        Format::Pcap => pcap::play(player, file, &name),
    }
}

impl Format {
    /// By how the file starts: names of files say little.
    fn of(start: &[u8]) -> Result<Self, &'static str> {
        if PACKETS.iter().any(|magic| start.starts_with(magic)) {
            return Ok(Self::Pcap);
        }
        match start.trim_ascii_start() {
            [] => Err("is empty; record the traffic again"),
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => Err("is compressed; unpack it first"),
            // An archive has nothing beside its log.
            [b'{', rest @ ..] if rest.trim_ascii_start().starts_with(b"\"log\"") => Ok(Self::Har),
            [b'{', ..] => Ok(Self::Lines),
            _ => Err("is neither HAR, JSON lines, pcap nor pcapng; record one of them"),
        }
    }
}
