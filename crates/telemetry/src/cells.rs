//! The counters of one shard, where other threads can read them.

use wsi_inspect::{Stats, Worker};

use crate::{Counter, Names};

/// What a shard counts of its connections, in plain integers. Arrays of two are indexed by
/// [`Direction::index`](wsi_policy::Direction::index): the first is traffic on its way to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataplaneStats {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are there now; all but this and `bytes_held` are sums since start.
    pub connections_open: u64,
    /// Connections that were turned away because there were too many.
    pub refused_full: u64,
    /// Connections to an upstream that were made, and that could not be made.
    pub upstream_connects: u64,
    pub upstream_failures: u64,
    pub sessions_opened: u64,
    pub sessions_closed: u64,
    /// Bytes read from and written to sockets, whatever they were.
    pub bytes_received: [u64; 2],
    pub bytes_sent: [u64; 2],
    /// How often reading stopped because the other side did not take more.
    pub pauses: u64,
    /// Bytes that are held now of messages on their way.
    pub bytes_held: u64,
    /// Upgrades that were not complete in time.
    pub timeouts_handshake: u64,
    /// Audit records that found their queue full.
    pub audit_lost: u64,
    /// Connections that ended because of a bug in this program.
    pub panics: u64,
    /// Rounds of the shard's loop.
    pub turns: u64,
    /// What the agent's sockets carry.
    pub agent: AgentStats,
}

/// What a shard counts of proxies that ask it for verdicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgentStats {
    /// Connections of proxies that are there now, and that there were.
    pub links_open: u64,
    pub links: u64,
    /// Connections of proxies that were ended because of what came over them.
    pub faults: u64,
    /// Configurations of a proxy that were refused.
    pub configurations_refused: u64,
    /// Frames that were judged.
    pub frames: u64,
    /// WebSockets that are known now, and that were forgotten because there were too many or because they were silent.
    pub sessions_open: u64,
    pub sessions_evicted: u64,
    pub sessions_idle: u64,
    /// Answers that were not given because they were late.
    pub late: u64,
}

/// What a shard last published. It is its one writer, so there are no locked instructions; shards do not share cache lines.
#[derive(Debug)]
#[repr(align(128))]
pub struct ShardCells {
    dataplane: [Counter; DATAPLANE_COUNTERS],
    policies: Box<[PolicyCells]>,
    unrouted: PolicyCells,
}

/// The counters of one policy.
#[derive(Debug)]
struct PolicyCells {
    totals: [Counter; POLICY_COUNTERS],
    verdicts: Box<[[Counter; 2]]>,
}

const DATAPLANE_COUNTERS: usize = 26;
const POLICY_COUNTERS: usize = 15;

impl ShardCells {
    pub fn new(names: &Names) -> Self {
        Self {
            dataplane: Default::default(),
            policies: names.places().map(PolicyCells::new).collect(),
            unrouted: PolicyCells::new(names.fixed_rules.len()),
        }
    }

    /// Makes the counters visible to other threads; to be called by the shard only, every 50 ms or so.
    pub fn publish(&self, worker: &Worker, dataplane: &DataplaneStats) {
        self.store(worker.stats(), worker.unrouted_stats(), dataplane);
    }

    pub(crate) fn store(&self, policies: &[Stats], unrouted: &Stats, dataplane: &DataplaneStats) {
        store_all(&self.dataplane, dataplane.into_words());
        for (cells, stats) in self.policies.iter().zip(policies) {
            cells.store(stats);
        }
        self.unrouted.store(unrouted);
    }

    pub(crate) fn dataplane(&self) -> DataplaneStats {
        let mut stats = DataplaneStats::default();
        self.add_dataplane_to(&mut stats);
        stats
    }

    pub(crate) fn add_dataplane_to(&self, sum: &mut DataplaneStats) {
        let mut words = sum.into_words();
        add_all(&mut words, &self.dataplane);
        *sum = DataplaneStats::from_words(words);
    }

    /// `None`: the upgrades that no policy took.
    pub(crate) fn add_policy_to(&self, policy: Option<usize>, sum: &mut Stats) {
        let cells = match policy {
            Some(policy) => self.policies.get(policy),
            None => Some(&self.unrouted),
        };
        if let Some(cells) = cells {
            cells.add_to(sum);
        }
    }
}

impl PolicyCells {
    fn new(rules: usize) -> Self {
        Self { totals: Default::default(), verdicts: (0..rules).map(|_| Default::default()).collect() }
    }

    fn store(&self, stats: &Stats) {
        let (words, verdicts) = policy_words(stats);
        store_all(&self.totals, words);
        for (cells, counts) in self.verdicts.iter().zip(verdicts) {
            store_all(cells, *counts);
        }
    }

    fn add_to(&self, sum: &mut Stats) {
        let (mut words, _) = policy_words(sum);
        add_all(&mut words, &self.totals);
        let mut verdicts = std::mem::take(&mut sum.verdicts);
        verdicts.resize(verdicts.len().max(self.verdicts.len()), [0; 2]);
        for (counts, cells) in verdicts.iter_mut().zip(&self.verdicts) {
            add_all(counts, cells);
        }
        *sum = policy_stats(words, verdicts);
    }
}

fn store_all<const N: usize>(cells: &[Counter; N], words: [u64; N]) {
    for (cell, word) in cells.iter().zip(words) {
        cell.set(word);
    }
}

fn add_all<const N: usize>(words: &mut [u64; N], cells: &[Counter; N]) {
    for (word, cell) in words.iter_mut().zip(cells) {
        *word = word.wrapping_add(cell.value());
    }
}

// The structs are taken apart and put together without "..": a counter that is added to one of them fails to compile
// until it is published too.

impl DataplaneStats {
    fn into_words(self) -> [u64; DATAPLANE_COUNTERS] {
        let Self {
            accepted,
            connections_open,
            refused_full,
            upstream_connects,
            upstream_failures,
            sessions_opened,
            sessions_closed,
            bytes_received: [received_up, received_down],
            bytes_sent: [sent_up, sent_down],
            pauses,
            bytes_held,
            timeouts_handshake,
            audit_lost,
            panics,
            turns,
            agent:
                AgentStats {
                    links_open,
                    links,
                    faults,
                    configurations_refused,
                    frames,
                    sessions_open,
                    sessions_evicted,
                    sessions_idle,
                    late,
                },
        } = self;
        [
            accepted,
            connections_open,
            refused_full,
            upstream_connects,
            upstream_failures,
            sessions_opened,
            sessions_closed,
            received_up,
            received_down,
            sent_up,
            sent_down,
            pauses,
            bytes_held,
            timeouts_handshake,
            audit_lost,
            panics,
            turns,
            links_open,
            links,
            faults,
            configurations_refused,
            frames,
            sessions_open,
            sessions_evicted,
            sessions_idle,
            late,
        ]
    }

    fn from_words(words: [u64; DATAPLANE_COUNTERS]) -> Self {
        let [
            accepted,
            connections_open,
            refused_full,
            upstream_connects,
            upstream_failures,
            sessions_opened,
            sessions_closed,
            received_up,
            received_down,
            sent_up,
            sent_down,
            pauses,
            bytes_held,
            timeouts_handshake,
            audit_lost,
            panics,
            turns,
            links_open,
            links,
            faults,
            configurations_refused,
            frames,
            sessions_open,
            sessions_evicted,
            sessions_idle,
            late,
        ] = words;
        Self {
            accepted,
            connections_open,
            refused_full,
            upstream_connects,
            upstream_failures,
            sessions_opened,
            sessions_closed,
            bytes_received: [received_up, received_down],
            bytes_sent: [sent_up, sent_down],
            pauses,
            bytes_held,
            timeouts_handshake,
            audit_lost,
            panics,
            turns,
            agent: AgentStats {
                links_open,
                links,
                faults,
                configurations_refused,
                frames,
                sessions_open,
                sessions_evicted,
                sessions_idle,
                late,
            },
        }
    }
}

fn policy_words(stats: &Stats) -> ([u64; POLICY_COUNTERS], &[[u64; 2]]) {
    let Stats {
        messages: [messages_up, messages_down],
        message_bytes: [bytes_up, bytes_down],
        control_frames: [control_up, control_down],
        passed_uninspected,
        redacted,
        redact_failures,
        rewritten,
        rewrite_failures,
        replies_sent,
        replies_omitted,
        upgrades_accepted,
        upgrades_refused,
        verdicts,
    } = stats;
    let words = [
        *messages_up,
        *messages_down,
        *bytes_up,
        *bytes_down,
        *control_up,
        *control_down,
        *passed_uninspected,
        *redacted,
        *redact_failures,
        *rewritten,
        *rewrite_failures,
        *replies_sent,
        *replies_omitted,
        *upgrades_accepted,
        *upgrades_refused,
    ];
    (words, verdicts)
}

fn policy_stats(words: [u64; POLICY_COUNTERS], verdicts: Vec<[u64; 2]>) -> Stats {
    let [
        messages_up,
        messages_down,
        bytes_up,
        bytes_down,
        control_up,
        control_down,
        passed_uninspected,
        redacted,
        redact_failures,
        rewritten,
        rewrite_failures,
        replies_sent,
        replies_omitted,
        upgrades_accepted,
        upgrades_refused,
    ] = words;
    Stats {
        messages: [messages_up, messages_down],
        message_bytes: [bytes_up, bytes_down],
        control_frames: [control_up, control_down],
        passed_uninspected,
        redacted,
        redact_failures,
        rewritten,
        rewrite_failures,
        replies_sent,
        replies_omitted,
        upgrades_accepted,
        upgrades_refused,
        verdicts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_places() {
        let words = std::array::from_fn(|i| i as u64 + 1);
        assert_eq!(DataplaneStats::from_words(words).into_words(), words);
        let words = std::array::from_fn(|i| i as u64 + 1);
        assert_eq!(policy_words(&policy_stats(words, vec![])).0, words);
    }

    #[test]
    fn a_shard_publishes_again_and_again() {
        let names = Names::new(vec![], []);
        let cells = ShardCells::new(&names);
        let worker = Worker::new([], [0; 32], Box::new(|| 0)).unwrap();
        let mut dataplane = DataplaneStats::default();
        for _ in 0..3 {
            dataplane.accepted += 1;
            cells.publish(&worker, &dataplane);
        }
        let mut sum = DataplaneStats::default();
        cells.add_dataplane_to(&mut sum);
        assert_eq!(sum, dataplane);
    }
}
