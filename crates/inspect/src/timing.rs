//! How long inspection takes: one message in some is timed, stage by stage.

use crate::worker::Clock;

/// A part of an inspection of a whole message, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// UTF-8, and reading the format that rules want.
    Decode,
    Rate,
    /// Patterns, with all that is decoded for them.
    Scan,
    Schema,
    /// Sequences, orders and duplicates.
    State,
    /// Redaction, and rewriting.
    Modify,
}

impl Stage {
    pub const ALL: [Self; 6] =
        [Self::Decode, Self::Rate, Self::Scan, Self::Schema, Self::State, Self::Modify];

    /// As in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Rate => "rate",
            Self::Scan => "scan",
            Self::Schema => "schema",
            Self::State => "state",
            Self::Modify => "modify",
        }
    }
}

/// What one message took, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the first stage to the verdict.
    pub all_ns: u64,
    /// By place in [`Stage::ALL`]; `None`: the message did not get there, or has no need of it.
    pub stages_ns: [Option<u64>; Stage::ALL.len()],
}

/// Where timings go.
pub(crate) type Receive = Box<dyn FnMut(Timing) + Send>;

/// A stop watch that runs for every so many messages.
pub(crate) struct Watch {
    every: u32,
    /// Messages until it runs.
    left: u32,
    running: Option<Running>,
    receive: Receive,
}

struct Running {
    began_ns: u64,
    last_ns: u64,
    timing: Timing,
}

impl Watch {
    pub fn new(every: u32, receive: Receive) -> Self {
        Self { every: every.max(1), left: 0, running: None, receive }
    }

    #[inline]
    pub fn begin(&mut self, clock: &Clock) {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return;
        }
        self.left = self.every - 1;
        let now_ns = clock();
        self.running = Some(Running { began_ns: now_ns, last_ns: now_ns, timing: Timing::default() });
    }

    /// `stage` has ended.
    #[inline]
    pub fn lap(&mut self, stage: Stage, clock: &Clock) {
        if let Some(running) = &mut self.running {
            let now_ns = clock();
            running.timing.stages_ns[stage as usize] = Some(now_ns.saturating_sub(running.last_ns));
            running.last_ns = now_ns;
        }
    }

    #[inline]
    pub fn end(&mut self, clock: &Clock) {
        if let Some(Running { began_ns, mut timing, .. }) = self.running.take() {
            timing.all_ns = clock().saturating_sub(began_ns);
            (self.receive)(timing);
        }
    }
}
