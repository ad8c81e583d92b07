//! What one direction of a connection may cost in one turn of its shard: others wait meanwhile, and have theirs next.

/// Reads, each of a scratch at most.
const READS_MAX: usize = 4;
/// Frames, and parts of frames: one read may hold ten thousand.
const FRAMES_MAX: usize = 1024;
/// What handing bytes to a socket costs, in small frames.
const FRAMES_PER_SEND: usize = 16;
/// Bytes that are inspected: a few that came may have been inflated to many, and be matched against heavy patterns.
const INSPECTED_SIZE_MAX: u64 = 256 << 10;

/// What is left of a turn. It may be overdrawn by one step: what a session takes at once, 1024 frames or the largest message.
#[derive(Debug)]
pub(crate) struct Allowance {
    reads: usize,
    frames: usize,
    inspected_size: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { reads: READS_MAX, frames: FRAMES_MAX, inspected_size: INSPECTED_SIZE_MAX }
    }
}

impl Allowance {
    /// `false`: not in this turn.
    pub fn take_read(&mut self) -> bool {
        if self.is_spent() || self.reads == 0 {
            return false;
        }
        self.reads -= 1;
        true
    }

    #[inline]
    pub fn charge(&mut self, frames: usize, has_sent: bool, inspected_size: u64) {
        let cost = if has_sent { frames + FRAMES_PER_SEND } else { frames };
        self.frames = self.frames.saturating_sub(cost);
        self.inspected_size = self.inspected_size.saturating_sub(inspected_size);
    }

    #[inline]
    pub fn is_spent(&self) -> bool {
        self.frames == 0 || self.inspected_size == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_work_ends_a_turn() {
        for (frames, has_sent, size, steps_max) in [
            (FRAMES_MAX, false, 0, 1),
            (1, true, 1, FRAMES_MAX / FRAMES_PER_SEND),
            (1, false, INSPECTED_SIZE_MAX / 2, 2),
            (1, false, u64::MAX, 1),
        ] {
            let mut allowance = Allowance::default();
            let mut steps = 0;
            while !allowance.is_spent() {
                allowance.charge(frames, has_sent, size);
                steps += 1;
            }
            assert!(steps <= steps_max, "{steps} steps of {frames} frames and {size} bytes");
            assert!(!allowance.take_read());
        }
    }

    #[test]
    fn reads_are_counted() {
        let mut allowance = Allowance::default();
        assert_eq!((0..10).filter(|_| allowance.take_read()).count(), READS_MAX);
    }
}
