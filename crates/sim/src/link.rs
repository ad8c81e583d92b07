//! The way from a peer to the inspector: it cuts anywhere, stalls, and may break off.

use crate::{peer::Written, random::Random};

/// Bytes on their way.
#[derive(Debug)]
pub struct Link {
    bytes: Vec<u8>,
    /// Where the items of the script end.
    ends: Vec<usize>,
    at: usize,
    /// Where it breaks off; the rest never arrives.
    breaks_at: Option<usize>,
}

impl Link {
    pub fn new(written: Written, random: &mut Random) -> Self {
        let Written { bytes, items } = written;
        let ends = items.iter().filter_map(|frames| frames.last()).map(|frame| frame.end).collect();
        let breaks_at = random.one_in(6).then(|| random.below(bytes.len() + 1));
        Self { bytes, ends, at: 0, breaks_at }
    }

    fn end(&self) -> usize {
        self.breaks_at.unwrap_or(self.bytes.len())
    }

    /// Everything that will ever arrive has arrived.
    pub fn is_exhausted(&self) -> bool {
        self.at >= self.end()
    }

    /// It broke off before the peer's last byte.
    pub fn is_broken(&self) -> bool {
        self.breaks_at.is_some_and(|at| at < self.bytes.len())
    }

    /// The next segment: of any size, or up to where the peer paused.
    pub fn deliver(&mut self, random: &mut Random) -> Vec<u8> {
        let size = random.pick(&[1, 1, 2, 7, 50, 600, usize::MAX, 0, 0]);
        let next_end = || self.ends.iter().copied().find(|end| *end > self.at).unwrap_or(self.bytes.len());
        let end = if size == 0 { next_end() } else { self.at.saturating_add(size) }.min(self.end());
        let segment = self.bytes[self.at..end].to_vec();
        self.at = end;
        segment
    }
}
