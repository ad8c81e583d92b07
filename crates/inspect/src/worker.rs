//! What a core reuses between messages.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use wsi_scan::{Scratch, normalize::Buffers};

use crate::{
    Engine,
    engine::Plan,
    rules::RuleTable,
    stats::Stats,
    timing::{Stage, Timing, Watch},
};

/// The largest buffer that is kept for the next message, and how many of them: 4 MiB a core at most.
const SPARE_SIZE_MAX: usize = 64 << 10;
const SPARES_MAX: usize = 64;

/// Tells nanoseconds.
pub(crate) type Clock = Box<dyn Fn() -> u64>;

/// One core's scratch, buffers, mask keys and counters. Every session of the core borrows it for a moment.
pub struct Worker {
    pub(crate) scratch: Scratch,
    /// Where escapes are undone.
    pub(crate) views: Buffers,
    pub(crate) clock: Clock,
    watch: Option<Watch>,
    masks: ChaCha8Rng,
    spares: Vec<Vec<u8>>,
    stats: Vec<Stats>,
    unrouted: Stats,
}

impl Worker {
    /// The most that a worker keeps in buffers between messages, in bytes: spares, and views of undone escapes.
    pub const BUFFERS_SIZE_MAX: u64 = (SPARES_MAX * SPARE_SIZE_MAX + Buffers::SIZE_MAX) as u64;

    /// A worker for sessions under any of `engines`, which are in the order of [`Engine::index`].
    ///
    /// `seed` decides the mask keys (RFC 6455 section 5.3 asks that they can't be predicted: take it from the system's
    /// randomness). `clock` tells nanoseconds on the clock of every `now_ns`; it is asked only within large messages.
    ///
    /// # Errors
    /// Hyperscan's, when scratch space can't be had.
    pub fn new<'a>(
        engines: impl IntoIterator<Item = &'a Engine>,
        seed: [u8; 32],
        clock: Clock,
    ) -> Result<Self, wsi_scan::ScanError> {
        let mut scratch = Scratch::default();
        let mut stats = Vec::new();
        for engine in engines {
            for database in engine.plans.iter().flat_map(Plan::databases) {
                scratch.fit(database)?;
            }
            stats.push(Stats::new(engine.rules.names().len()));
        }
        Ok(Self {
            scratch,
            views: Buffers::default(),
            clock,
            watch: None,
            masks: ChaCha8Rng::from_seed(seed),
            spares: Vec::new(),
            stats,
            unrouted: Stats::new(RuleTable::default().names().len()),
        })
    }

    /// Times one message in `every`; `receive` is given what each took.
    pub fn time(&mut self, every: u32, receive: impl FnMut(Timing) + Send + 'static) {
        self.watch = Some(Watch::new(every, Box::new(receive)));
    }

    #[inline]
    pub(crate) fn begin_timing(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.begin(&self.clock);
        }
    }

    #[inline]
    pub(crate) fn lap(&mut self, stage: Stage) {
        if let Some(watch) = &mut self.watch {
            watch.lap(stage, &self.clock);
        }
    }

    #[inline]
    pub(crate) fn end_timing(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.end(&self.clock);
        }
    }

    /// Makes ready for an engine that takes the place of an earlier one of the same index, or is the next one.
    ///
    /// # Errors
    /// Hyperscan's, when scratch space can't be had.
    pub fn adopt(&mut self, engine: &Engine) -> Result<(), wsi_scan::ScanError> {
        for database in engine.plans.iter().flat_map(Plan::databases) {
            self.scratch.fit(database)?;
        }
        let rules = engine.rules.names().len();
        match self.stats.get_mut(engine.index) {
            Some(stats) => stats.verdicts.resize(rules.max(stats.verdicts.len()), [0; 2]),
            None => self.stats.push(Stats::new(rules)),
        }
        Ok(())
    }

    /// Loses the scratch space: until [`Worker::adopt`], every scan fails ([`Condition::ScratchExhausted`](crate::Condition)). There is no
    /// other way to see what a session makes of that.
    pub fn lose_scratch(&mut self) {
        self.scratch = Scratch::default();
    }

    /// The time now, in nanoseconds on the clock of every `now_ns`.
    pub fn now_ns(&self) -> u64 {
        (self.clock)()
    }

    /// Counters by [`Engine::index`].
    pub fn stats(&self) -> &[Stats] {
        &self.stats
    }

    /// Counters of upgrades that no route, and so no policy, took.
    pub fn unrouted_stats(&self) -> &Stats {
        &self.unrouted
    }

    /// A fresh mask key (RFC 6455 section 5.3).
    pub fn mask_key(&mut self) -> [u8; 4] {
        self.masks.next_u32().to_ne_bytes()
    }

    /// Sixteen fresh bytes, for a Sec-WebSocket-Key (RFC 6455 section 4.1).
    pub fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        self.masks.fill_bytes(&mut nonce);
        nonce
    }

    /// Takes back a buffer that a transmission is done with.
    pub fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.spares.len() < SPARES_MAX && (1..=SPARE_SIZE_MAX).contains(&buffer.capacity()) {
            buffer.clear();
            self.spares.push(buffer);
        }
    }

    /// An empty buffer, with capacity if there is one to spare.
    pub fn spare(&mut self) -> Vec<u8> {
        self.spares.pop().unwrap_or_default()
    }

    pub(crate) fn stats_mut(&mut self, engine: &Engine) -> Option<&mut Stats> {
        self.stats.get_mut(engine.index)
    }

    pub(crate) fn upgrade_stats_mut(&mut self, engine: Option<&Engine>) -> &mut Stats {
        match engine.and_then(|engine| self.stats.get_mut(engine.index)) {
            Some(stats) => stats,
            None => &mut self.unrouted,
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("stats", &self.stats).finish_non_exhaustive()
    }
}
