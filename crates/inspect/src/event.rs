//! What a session tells: the events of a connection's life, and every verdict other than allow.

use std::net::IpAddr;

use wsi_policy::{Action, Direction, Mode};
use wsi_ws::{CloseCode, Opcode};

use crate::rules::RuleId;

/// One event. Borrowed: the receiver keeps what it needs.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The upgrade was answered with `status`.
    Handshake {
        path: &'a str,
        host: &'a str,
        origin: Option<&'a str>,
        status: u16,
    },
    /// Both legs are open.
    Open {
        subprotocol: Option<&'a str>,
    },
    /// A message passed (or would have been stopped, in detect mode). Sizes in bytes.
    Message {
        direction: Direction,
        opcode: Opcode,
        size: usize,
        fragments: u32,
    },
    Ping {
        direction: Direction,
        size: usize,
    },
    Pong {
        direction: Direction,
        size: usize,
    },
    Verdict(VerdictEvent<'a>),
    /// The connection has ended.
    Close {
        code: Option<CloseCode>,
        initiator: Initiator,
        totals: Totals,
    },
}

/// A message, or an upgrade, that broke a rule.
#[derive(Clone, Copy, Debug)]
pub struct VerdictEvent<'a> {
    /// `None`: an upgrade.
    pub direction: Option<Direction>,
    pub opcode: Option<Opcode>,
    /// Bytes of payload that were there to see.
    pub size: usize,
    pub rule: RuleId,
    pub outcome: Outcome,
    pub mode: Mode,
    pub detail: &'a str,
    /// For excerpts and hashes; the receiver decides what of it may be written.
    pub payload: &'a [u8],
    /// Where in `payload` the evidence ends.
    pub at: Option<usize>,
}

/// What was done, or in detect mode would have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Message(Action),
    /// It could not be inspected and passed, because the policy fails open.
    PassedUninspected,
    /// An upgrade was answered with this HTTP status.
    Refused(u16),
}

/// Who ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initiator {
    Client,
    Server,
    Inspector,
}

impl Initiator {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
            Self::Inspector => "inspector",
        }
    }
}

/// Sums of one connection, by [`Direction::index`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub messages: [u64; 2],
    pub bytes: [u64; 2],
}

/// Receives events as they happen, on the shard: it must not wait.
pub trait EventSink {
    /// The upgrade has taken a route: what follows is under the policy with this [`Engine::index`](crate::Engine::index).
    fn policy_chosen(&mut self, policy: usize);

    /// Hops that are trusted name another client than the peer.
    fn client_known(&mut self, client: IpAddr) {
        let _ = client;
    }

    fn event(&mut self, event: Event<'_>);
}
