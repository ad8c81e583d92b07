//! From the events of a session to the audit queue of the shard.

use std::{
    net::{IpAddr, SocketAddr},
    time::{SystemTime, UNIX_EPOCH},
};

use wsi_inspect::{Event, EventSink};
use wsi_telemetry::audit::{Moment, Origin, Sender};

/// Gives events their connection and the time of day, and queues them.
pub(crate) struct AuditSink<'a> {
    pub sender: &'a mut Option<Sender>,
    pub origin: Origin,
    /// Of the connection, in nanoseconds.
    pub age_ns: u64,
}

impl EventSink for AuditSink<'_> {
    fn policy_chosen(&mut self, policy: usize) {
        self.origin.policy = u16::try_from(policy).ok();
    }

    fn client_known(&mut self, client: IpAddr) {
        // Its port is not known.
        self.origin.client = SocketAddr::new(client, 0);
    }

    fn event(&mut self, event: Event<'_>) {
        if let Some(sender) = self.sender {
            sender.record(event, self.origin, Moment { time_ns: wall_ns(), age_ns: self.age_ns });
        }
    }
}

/// Asked only for events that are written: a message that passes asks no clock.
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
