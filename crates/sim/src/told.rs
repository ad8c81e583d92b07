//! What a session tells, as the oracle can compare it.

use std::sync::Arc;

use wsi_inspect::{Engine, Event, EventSink, Initiator, Outcome, Totals};
use wsi_policy::{Direction, Mode};

/// A verdict other than allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub rule: String,
    pub outcome: Outcome,
    pub mode: Mode,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: Option<u16>,
    pub initiator: Initiator,
    pub totals: Totals,
}

/// Everything that was told. Arrays are by [`Direction::index`].
#[derive(Debug)]
pub struct Told {
    engine: Arc<Engine>,
    pub verdicts: [Vec<Verdict>; 2],
    /// Sizes of messages that passed.
    pub messages: [Vec<usize>; 2],
    /// Pings and pongs that passed.
    pub controls: [usize; 2],
    pub ends: Vec<Ended>,
    /// Answers to dropped messages: those that came, and those that were left out.
    pub replies: (u64, u64),
    /// Messages that passed rewritten.
    pub rewritten: u64,
}

impl Told {
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            verdicts: Default::default(),
            messages: Default::default(),
            controls: Default::default(),
            ends: Vec::new(),
            replies: (0, 0),
            rewritten: 0,
        }
    }
}

impl EventSink for Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => {
                let rule = self.engine.rules().name(verdict.rule).to_owned();
                let direction = verdict.direction.unwrap_or(Direction::ToServer);
                let verdict = Verdict { rule, outcome: verdict.outcome, mode: verdict.mode };
                self.verdicts[direction.index()].push(verdict);
            }
            Event::Message { direction, size, .. } => self.messages[direction.index()].push(size),
            Event::Ping { direction, .. } | Event::Pong { direction, .. } => {
                self.controls[direction.index()] += 1;
            }
            Event::Close { code, initiator, totals } => {
                self.ends.push(Ended { code: code.map(|code| code.as_u16()), initiator, totals });
            }
            Event::Handshake { .. } | Event::Open { .. } => {}
        }
    }
}
