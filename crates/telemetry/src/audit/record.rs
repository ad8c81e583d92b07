//! What is kept of an event until the audit thread writes it. Events of the message path are kept without an
//! allocation; whatever a peer can choose is bounded.

use std::net::SocketAddr;

use wsi_inspect::{CloseCode, Event, Initiator, Opcode, Outcome, RuleId, Totals, VerdictEvent};
use wsi_policy::{Direction, Mode};

use super::excerpt::{Evidence, Payload};

/// Bounds in bytes.
const PATH_SIZE_MAX: usize = 256;
const HOST_SIZE_MAX: usize = 128;
const ORIGIN_SIZE_MAX: usize = 256;
const SUBPROTOCOL_SIZE_MAX: usize = 64;
/// A violation's fits: two pointers of 160 bytes, a keyword, and a type's name of 128.
const DETAIL_SIZE_MAX: usize = 512;

/// The end of a text that was cut.
const CUT: &str = "…";

/// Where an event took place. Ids, not names: those are [`Names`](crate::Names)' to know.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub shard: u16,
    /// Unique on its shard.
    pub connection: u64,
    pub client: SocketAddr,
    pub listener: u16,
    /// `None`: no policy was chosen yet.
    pub policy: Option<u16>,
}

/// When an event took place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    /// Wall time, in nanoseconds since the Unix epoch.
    pub time_ns: u64,
    /// Since the connection came, in nanoseconds of a clock that nobody sets.
    pub age_ns: u64,
}

/// One audit record.
#[derive(Debug)]
pub struct Record {
    /// Nanoseconds since the Unix epoch.
    pub(crate) time_ns: u64,
    /// Of the configuration that held.
    pub(crate) revision: u32,
    /// Of the connection; 49 days at most.
    pub(crate) age_ms: u32,
    pub(crate) origin: Origin,
    pub(crate) event: RecordEvent,
}

/// An [`Event`] that owns what it holds.
#[derive(Debug)]
pub(crate) enum RecordEvent {
    Handshake(Box<HandshakeRecord>),
    Open { subprotocol: Option<Box<str>> },
    Message { direction: Direction, opcode: Opcode, size: usize, fragments: u32 },
    Ping { direction: Direction, size: usize },
    Pong { direction: Direction, size: usize },
    Verdict(Box<VerdictRecord>),
    Close { code: Option<CloseCode>, initiator: Initiator, totals: Totals },
}

#[derive(Debug)]
pub(crate) struct HandshakeRecord {
    pub path: Box<str>,
    pub host: Box<str>,
    pub origin: Option<Box<str>>,
    pub status: u16,
}

#[derive(Debug)]
pub(crate) struct VerdictRecord {
    pub direction: Option<Direction>,
    pub opcode: Option<Opcode>,
    pub size: usize,
    pub rule: RuleId,
    pub outcome: Outcome,
    pub mode: Mode,
    pub detail: Box<str>,
    pub evidence: Option<Evidence>,
}

// A queue of records is held for every shard.
const _: () = assert!(size_of::<Record>() <= 104);

impl Record {
    /// The most that a record holds outside of itself, in bytes.
    pub(crate) const HEAP_SIZE_MAX: usize = {
        let handshake = size_of::<HandshakeRecord>() + PATH_SIZE_MAX + HOST_SIZE_MAX + ORIGIN_SIZE_MAX;
        let verdict = size_of::<VerdictRecord>() + DETAIL_SIZE_MAX;
        if handshake > verdict { handshake } else { verdict }
    };

    /// `time_ns` is the wall time in nanoseconds since the Unix epoch; `payload` says what of a verdict's payload is kept.
    pub fn new(event: Event<'_>, origin: Origin, moment: Moment, revision: u32, payload: Payload) -> Self {
        let age_ms = u32::try_from(moment.age_ns / 1_000_000).unwrap_or(u32::MAX);
        Self { time_ns: moment.time_ns, revision, age_ms, origin, event: RecordEvent::new(event, payload) }
    }
}

impl RecordEvent {
    fn new(event: Event<'_>, payload: Payload) -> Self {
        match event {
            Event::Handshake { path, host, origin, status } => Self::Handshake(Box::new(HandshakeRecord {
                path: bounded(path, PATH_SIZE_MAX),
                host: bounded(host, HOST_SIZE_MAX),
                origin: origin.map(|origin| bounded(origin, ORIGIN_SIZE_MAX)),
                status,
            })),
            Event::Open { subprotocol } => {
                Self::Open { subprotocol: subprotocol.map(|name| bounded(name, SUBPROTOCOL_SIZE_MAX)) }
            }
            Event::Message { direction, opcode, size, fragments } => {
                Self::Message { direction, opcode, size, fragments }
            }
            Event::Ping { direction, size } => Self::Ping { direction, size },
            Event::Pong { direction, size } => Self::Pong { direction, size },
            Event::Verdict(verdict) => Self::Verdict(Box::new(VerdictRecord::new(&verdict, payload))),
            Event::Close { code, initiator, totals } => Self::Close { code, initiator, totals },
        }
    }
}

impl VerdictRecord {
    fn new(verdict: &VerdictEvent<'_>, payload: Payload) -> Self {
        Self {
            direction: verdict.direction,
            opcode: verdict.opcode,
            size: verdict.size,
            rule: verdict.rule,
            outcome: verdict.outcome,
            mode: verdict.mode,
            detail: bounded(verdict.detail, DETAIL_SIZE_MAX),
            evidence: Evidence::new(payload, verdict.payload, verdict.at),
        }
    }
}

/// At most `size_max` bytes of `text`, the mark of a cut included.
fn bounded(text: &str, size_max: usize) -> Box<str> {
    if text.len() <= size_max {
        return text.into();
    }
    let kept = &text[..text.floor_char_boundary(size_max - CUT.len())];
    [kept, CUT].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(&*bounded("short", 5), "short");
        assert_eq!(&*bounded("shorts", 5), "sh…");
        let euros = "€".repeat(100);
        for size_max in 200..206 {
            let cut = bounded(&euros, size_max);
            assert!(cut.len() <= size_max && cut.len() + 3 > size_max, "{size_max}");
            assert!(cut.ends_with("€…"));
        }
    }
}
