//! The last audit records, for whoever looks at the live page.

use std::{
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Records that are kept.
const RECORDS_MAX: usize = 2_000;
/// Bytes that they may have together.
const SIZE_MAX: usize = 2 << 20;

/// The last records, as lines of JSON, each with its number since the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<String>,
    size: usize,
    /// Of the first line that is kept.
    first: u64,
}

/// Writes records to a sink, and keeps the last.
pub(crate) struct Tee<W> {
    pub sink: W,
    pub recent: Recent,
    /// A line whose end was not written yet.
    partial: Vec<u8>,
}

impl Recent {
    /// Records from number `since` on that contain `text`, at most `count_max` of the latest, and the number to ask from next.
    pub fn since(&self, since: u64, text: &str, count_max: usize) -> (Vec<String>, u64) {
        let kept = self.lock();
        let next = kept.first + kept.lines.len() as u64;
        let skipped = usize::try_from(since.saturating_sub(kept.first)).unwrap_or(usize::MAX);
        let wanted = kept.lines.iter().skip(skipped).filter(|line| line.contains(text));
        let mut lines: Vec<_> = wanted.rev().take(count_max).cloned().collect();
        lines.reverse();
        (lines, next)
    }

    fn push(&self, line: &[u8]) {
        let mut kept = self.lock();
        kept.size += line.len();
        kept.lines.push_back(String::from_utf8_lossy(line).into_owned());
        while kept.lines.len() > RECORDS_MAX || kept.size > SIZE_MAX {
            let Some(gone) = kept.lines.pop_front() else { break };
            kept.size = kept.size.saturating_sub(gone.len());
            kept.first += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Tee<W> {
    pub fn new(sink: W, recent: Recent) -> Self {
        Self { sink, recent, partial: Vec::new() }
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        for piece in bytes[..written].split_inclusive(|byte| *byte == b'\n') {
            match piece.strip_suffix(b"\n") {
                None => self.partial.extend_from_slice(piece),
                Some(rest) if self.partial.is_empty() => self.recent.push(rest),
                Some(rest) => {
                    self.partial.extend_from_slice(rest);
                    self.recent.push(&std::mem::take(&mut self.partial));
                }
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_whole() {
        let recent = Recent::default();
        let mut tee = Tee::new(Vec::new(), recent.clone());
        tee.write_all(b"one\ntw").unwrap();
        tee.write_all(b"o\nthree\n").unwrap();
        assert_eq!(recent.since(0, "", 10), (vec!["one".into(), "two".into(), "three".into()], 3));
        assert_eq!(recent.since(1, "", 1), (vec!["three".into()], 3));
        assert_eq!(recent.since(0, "o", 10).0, ["one", "two"]);
        assert_eq!(recent.since(9, "", 10), (vec![], 3));
        for number in 0..RECORDS_MAX {
            writeln!(tee, "{number}").unwrap();
        }
        let (lines, next) = recent.since(0, "", usize::MAX);
        assert_eq!((lines.len(), next), (RECORDS_MAX, RECORDS_MAX as u64 + 3));
        assert_eq!(lines[0], "0");
        tee.write_all(&[b'x'; SIZE_MAX]).unwrap();
        tee.write_all(b"\n").unwrap();
        assert_eq!(recent.since(0, "", 10).0.len(), 1);
        tee.write_all(b"x\n").unwrap();
        assert_eq!(recent.since(0, "", 10).0, ["x"]);
    }
}
