//! The engine: sessions and the inspection pipeline, without sockets, files or a clock.
//!
//! [`Engine`] is a compiled policy, [`Session`] an open connection (bytes in, inspected bytes out), [`Upgrade`] one that is being
//! opened, and [`Worker`] what a core reuses between messages. The order of an inspection is on one screen, in
//! `pipeline/`; each stage is a file in `stage/`.

mod condition;
mod engine;
mod event;
pub mod frames;
mod half;
mod ledger;
mod pipeline;
mod recompress;
mod rules;
mod session;
mod stage;
mod stats;
mod timing;
mod transmit;
mod upgrade;
mod worker;

pub use condition::Condition;
pub use engine::{Engine, EngineError};
pub use event::{Event, EventSink, Initiator, Outcome, Totals, VerdictEvent};
pub use pipeline::{Permit, Reply, Verdict};
pub use rules::{Breach, Refusal, RuleId, RuleTable};
pub use session::{Context, Legs, Session, Step};
pub use stats::Stats;
pub use timing::{Stage, Timing};
pub use transmit::{OwnedFrame, Transmit};
pub use upgrade::{Place, RequestStep, ResponseStep, Upgrade};
pub use worker::Worker;
pub use wsi_ws::{CloseCode, Opcode, Role};
