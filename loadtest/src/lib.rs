//! Load for WebSocket relays: an echo backend, a closed-loop generator, idle connections, and a comparison of relays by
//! the CPU time that a round trip costs them.
//!
//! ```no_run
//! use wsi_loadtest::{Echo, EchoOptions, RunOptions, run};
//!
//! let echo = Echo::start(&EchoOptions::default())?;
//! let report = run(&RunOptions { url: echo.url(), ..RunOptions::default() })?;
//! println!("{report}");
//! # Ok::<(), wsi_loadtest::Error>(())
//! ```

mod agent;
mod client;
mod compare;
mod cpu;
mod echo;
mod error;
mod idle;
mod inbound;
mod machine;
mod outbox;
mod payload;
mod poller;
mod process;
mod random;
mod run;
mod target;

pub use agent::{AgentOptions, AgentReport, agent};
pub use compare::{
    AgentsLoad, AgentsOptions, AgentsReport, CompareOptions, CompareReport, CompressionOptions,
    CompressionReport, Depth, Held, NamedAgent, Ratios, Relay, Round, Sized, agents, compare, compression,
};
pub use cpu::CpuUse;
pub use echo::{Echo, EchoOptions, MESSAGE_SIZE_MAX};
pub use error::Error;
pub use idle::{IdleOptions, IdleReport, MemoryUse, idle};
pub use machine::pin_thread;
pub use payload::{Payload, PayloadKind};
pub use process::{Memory, cpu_time, memory};
pub use run::{HoldReport, Latency, RunOptions, RunReport, run, run_and_hold};
