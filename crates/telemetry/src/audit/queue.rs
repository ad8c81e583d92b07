//! The bounded ring from a shard to the audit thread.

use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer, Observer, Producer, Split},
};
use wsi_inspect::Event;

use super::{
    excerpt::Payload,
    record::{Moment, Origin, Record},
};

/// 1.6 MiB a shard, and texts where records have them.
pub const QUEUE_RECORDS_DEFAULT: usize = 16_384;

/// This part of the ring is kept for verdicts, so that a flood of messages does not drown the record of an attack.
const VERDICT_SHARE: usize = 8;

/// The most that a queue of `records` holds in memory, in bytes: every record with the longest texts.
pub const fn queue_size_max(records: usize) -> usize {
    records.saturating_mul(size_of::<Record>() + Record::HEAP_SIZE_MAX)
}

/// A queue of at most `records` records (at least one). `payload` says what of a verdict's payload is kept.
pub fn queue(records: usize, payload: Payload) -> (Sender, Receiver) {
    let records = records.max(1);
    let (ring, other_end) = HeapRb::new(records).split();
    let sender = Sender { ring, payload, revision: 1, vacant_min: records / VERDICT_SHARE, lost: 0 };
    (sender, Receiver { ring: other_end })
}

/// The shard's end. It never waits.
pub struct Sender {
    ring: HeapProd<Record>,
    payload: Payload,
    revision: u32,
    /// Places that only a verdict may take.
    vacant_min: usize,
    lost: u64,
}

/// The audit thread's end.
pub struct Receiver {
    ring: HeapCons<Record>,
}

impl Sender {
    /// Makes a record of `event`; if the queue is full, counts it as lost.
    pub fn record(&mut self, event: Event<'_>, origin: Origin, moment: Moment) {
        let vacant_min = if matches!(event, Event::Verdict(_)) { 0 } else { self.vacant_min };
        // Asked before the record is made: a queue that stays full costs no hashes and no copies.
        if self.ring.vacant_len() <= vacant_min
            || self.ring.try_push(Record::new(event, origin, moment, self.revision, self.payload)).is_err()
        {
            self.lost += 1;
        }
    }

    /// From now on `revision` of the configuration holds.
    pub fn set_revision(&mut self, revision: u32) {
        self.revision = revision;
    }

    /// Records that found the queue full.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Receiver {
    /// The oldest record.
    pub(crate) fn pop(&mut self) -> Option<Record> {
        self.ring.try_pop()
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.occupied_len()
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("lost", &self.lost).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use wsi_inspect::{Condition, Outcome, RuleId, VerdictEvent};
    use wsi_policy::{Direction, Mode};

    use super::*;

    pub(crate) const PING: Event<'_> = Event::Ping { direction: Direction::ToServer, size: 1 };

    const VERDICT: fn() -> Event<'static> = || {
        Event::Verdict(VerdictEvent {
            direction: None,
            opcode: None,
            size: 0,
            rule: RuleId::condition(Condition::OverBudget),
            outcome: Outcome::PassedUninspected,
            mode: Mode::Enforce,
            detail: "",
            payload: &[],
            at: None,
        })
    };

    pub(crate) fn origin(shard: u16, connection: u64) -> Origin {
        Origin { shard, connection, client: ([127, 0, 0, 1], 1).into(), listener: 0, policy: None }
    }

    fn connections(receiver: &mut Receiver) -> Vec<u64> {
        std::iter::from_fn(|| receiver.pop()).map(|record| record.origin.connection).collect()
    }

    #[test]
    fn a_full_queue_counts_losses_and_keeps_order() {
        let (mut sender, mut receiver) = queue(16, Payload::None);
        (0..20).for_each(|i| sender.record(PING, origin(0, i), Moment::default()));
        assert_eq!(sender.lost(), 6);
        (20..30).for_each(|i| sender.record(VERDICT(), origin(0, i), Moment::default()));
        assert_eq!(sender.lost(), 14, "two places were kept for verdicts");
        assert_eq!(connections(&mut receiver), (0..14).chain([20, 21]).collect::<Vec<_>>());
        sender.record(PING, origin(0, 30), Moment::default());
        assert_eq!((sender.lost(), connections(&mut receiver)), (14, vec![30]));
    }

    #[test]
    fn the_smallest_queue_works() {
        let (mut sender, mut receiver) = queue(0, Payload::None);
        (0..3).for_each(|i| sender.record(PING, origin(0, i), Moment::default()));
        assert_eq!((sender.lost(), connections(&mut receiver)), (2, vec![0]));
    }
}
