//! What the connections of a shard share: everything of it but the connections themselves.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use wsi_inspect::{Engine, Worker};
use wsi_telemetry::{DataplaneStats, audit};

use crate::{budget::Holdings, options::Listener, ring::Ring, timer::Timers, token::Key, upstream::Balancer};

/// How much is read at once: larger reads mean fewer calls, and all of it should fit the second-level cache.
pub(crate) const SCRATCH_SIZE: usize = 64 << 10;

/// The shard's own ring, buffers, timers and counters.
pub(crate) struct Core {
    pub shard: u16,
    pub now_ns: u64,
    /// What is read in this turn came no earlier: the turn before took its time, and looked before it began.
    pub arrived_ns: u64,
    pub ring: Ring,
    /// What is being read at this moment; empty of meaning between two reads.
    pub scratch: Vec<u8>,
    pub worker: Worker,
    pub timers: Timers,
    pub balancer: Balancer,
    pub stats: DataplaneStats,
    pub audit: Option<audit::Sender>,
    pub revision: u32,
    pub listeners: Arc<[Listener]>,
    pub engines: Arc<[Arc<Engine>]>,
    /// Connections with more to do than one turn allowed.
    pub again: Vec<Key>,
    pub connections: ConnectionCount,
    pub memory: Holdings,
}

impl Core {
    /// The longest that any route of the listener grants an upgrade: until the request is read, none is known.
    pub fn handshake_timeout_ns(&self, listener: usize) -> u64 {
        let routes = self.listeners.get(listener).map_or(&[][..], |each| &each.routes);
        let engines = routes.iter().filter_map(|route| self.engines.get(route.policy.0));
        engines.map(|engine| engine.handshake_timeout_ns()).max().unwrap_or_default()
    }
}

/// Connections of the whole process. Shards touch it when a connection opens and closes, never on its data path.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionCount {
    open: Arc<AtomicU64>,
    max: u64,
}

impl ConnectionCount {
    pub fn new(max: u64) -> Self {
        Self { open: Arc::default(), max }
    }

    /// Counts one more. `Err`: far too many, close it at once; otherwise whether it is within the limit.
    pub fn open(&self) -> Result<bool, ()> {
        let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        if open > self.max.saturating_add(REFUSALS_MAX) {
            self.close();
            return Err(());
        }
        Ok(open <= self.max)
    }

    pub fn close(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections beyond the limit that are kept as long as it takes to answer them with 503.
const REFUSALS_MAX: u64 = 1024;
