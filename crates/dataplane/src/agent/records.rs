//! From the sessions of an agent's socket to the audit queue.

use wsi_agent::{Peer, Records};
use wsi_inspect::EventSink;
use wsi_telemetry::audit::{Origin, Sender};

use crate::sink::AuditSink;

/// Connections are numbered from here on for the first socket of a shard, from twice here for the second: numbers are unique
/// on a shard, and those of the listeners' connections are below.
const CONNECTIONS: u64 = 1 << 40;

/// Records of one socket.
pub(crate) struct SocketRecords<'a> {
    pub sender: &'a mut Option<Sender>,
    pub shard: u16,
    pub socket: u64,
    pub listener: u16,
    pub policy: u16,
    pub now_ns: u64,
}

impl Records for SocketRecords<'_> {
    fn sink(&mut self, peer: Peer) -> impl EventSink {
        let origin = Origin {
            shard: self.shard,
            connection: (self.socket + 1) * CONNECTIONS + peer.connection,
            client: peer.client,
            listener: self.listener,
            policy: Some(self.policy),
        };
        AuditSink { sender: self.sender, origin, age_ns: self.now_ns.saturating_sub(peer.started_ns) }
    }
}
