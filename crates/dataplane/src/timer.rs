//! A hashed timer wheel: one entry a connection, checked when its slot comes by.

use crate::token::Key;

/// How fine deadlines are.
pub(crate) const TICK_NS: u64 = 50_000_000;
/// Slots of the wheel; a deadline further away than all of them is looked at again when the wheel has turned once.
const SLOTS: u64 = 1024;

/// Deadlines of a shard. An entry says only that its connection is to be asked: the connection knows its deadline, so
/// moving one later costs nothing.
#[derive(Debug)]
pub(crate) struct Timers {
    slots: Vec<Vec<Key>>,
    /// The next tick to be looked at.
    tick: u64,
}

impl Timers {
    pub fn new(now_ns: u64) -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), tick: now_ns / TICK_NS }
    }

    /// Asks for `key` at `deadline_ns` or, if that is far away, before it, unless it is asked for by then anyway:
    /// `scheduled_ns` says when, and is set. So a key stands in the wheel once for each time that its deadline moved to an
    /// earlier tick, however often this is called.
    #[inline]
    pub fn schedule(&mut self, key: Key, deadline_ns: u64, scheduled_ns: &mut u64) {
        // Rounded up: a connection that is asked early would only have to be asked again.
        let tick = deadline_ns.div_ceil(TICK_NS).clamp(self.tick, self.tick + SLOTS - 1);
        if tick * TICK_NS >= *scheduled_ns {
            return;
        }
        if let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) {
            slot.push(key);
        }
        *scheduled_ns = tick * TICK_NS;
    }

    /// Moves to `now_ns` and appends the keys that have come due. A key may stand there more than once, or early after a
    /// long stop: who asked for it knows whether its time has come.
    pub fn expire(&mut self, now_ns: u64, due: &mut Vec<Key>) {
        let now_tick = now_ns / TICK_NS;
        // After a long stop one round is enough: it holds everything.
        let first = self.tick.max(now_tick.saturating_sub(SLOTS));
        for tick in first..=now_tick {
            if let Some(slot) = self.slots.get_mut((tick % SLOTS) as usize) {
                // Taken, so that the memory of a busy moment is given back.
                due.append(&mut std::mem::take(slot));
            }
        }
        self.tick = self.tick.max(now_tick + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(index: u32) -> Key {
        Key { index, generation: 0 }
    }

    fn due(timers: &mut Timers, now_ns: u64) -> Vec<u32> {
        let mut due = Vec::new();
        timers.expire(now_ns, &mut due);
        due.into_iter().map(|key| key.index).collect()
    }

    fn schedule(timers: &mut Timers, index: u32, deadline_ns: u64) -> u64 {
        let mut scheduled_ns = u64::MAX;
        timers.schedule(key(index), deadline_ns, &mut scheduled_ns);
        scheduled_ns
    }

    #[test]
    fn never_early_and_at_most_a_tick_late() {
        let mut timers = Timers::new(0);
        schedule(&mut timers, 1, 3 * TICK_NS + 1);
        schedule(&mut timers, 2, 3 * TICK_NS);
        assert_eq!(due(&mut timers, 3 * TICK_NS - 1), [] as [u32; 0]);
        assert_eq!(due(&mut timers, 3 * TICK_NS), [2]);
        assert_eq!(due(&mut timers, 4 * TICK_NS), [1]);
    }

    #[test]
    fn far_deadlines_come_by_once_a_round() {
        let mut timers = Timers::new(0);
        let asked_ns = schedule(&mut timers, 1, 10 * SLOTS * TICK_NS);
        assert!(asked_ns <= SLOTS * TICK_NS);
        assert_eq!(due(&mut timers, asked_ns), [1]);
    }

    /// A connection that is always busy asks again at every turn, before its deadline and after it.
    #[test]
    fn a_busy_connection_has_one_entry_and_its_deadline() {
        for deadline_ns in [7 * TICK_NS + 3, 0] {
            let mut timers = Timers::new(0);
            let (mut scheduled_ns, mut asked) = (u64::MAX, Vec::new());
            for now_ns in (0..10 * TICK_NS).step_by(1_000_000) {
                timers.schedule(key(1), deadline_ns, &mut scheduled_ns);
                assert!(timers.slots.iter().map(Vec::len).sum::<usize>() <= 1);
                if !due(&mut timers, now_ns).is_empty() {
                    asked.push(now_ns);
                    break;
                }
            }
            assert_eq!(asked, [deadline_ns.next_multiple_of(TICK_NS)]);
        }
    }

    #[test]
    fn a_long_stop_loses_nothing() {
        let mut timers = Timers::new(0);
        for index in 0..2000 {
            schedule(&mut timers, index, u64::from(index) * TICK_NS);
        }
        assert_eq!(due(&mut timers, 50 * SLOTS * TICK_NS).len(), 2000);
        schedule(&mut timers, 1, 0);
        assert_eq!(due(&mut timers, 51 * SLOTS * TICK_NS), [1]);
    }
}
