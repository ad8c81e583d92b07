//! Shards, sockets and the ring: the data plane.
//!
//! A connection lives and dies on the core that accepted it, and shards share nothing that changes. Each has an io_uring of
//! its own for readiness ([`ring`](crate)), a table of connections, a timer wheel and a
//! [`Worker`](wsi_inspect::Worker); reading and writing are plain non-blocking calls into and out of one scratch buffer.

mod agent;
mod budget;
mod connection;
mod control;
mod core;
mod leg;
mod listener;
mod memory;
mod opening;
mod options;
mod preface;
mod relay;
mod revision;
mod ring;
mod runtime;
mod shard;
mod sink;
mod stream;
mod table;
mod timer;
mod token;
mod turn;
mod upstream;
mod wake;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender, SyncSender},
    },
};

pub use control::{ConnectionInfo, Control, Filter, Listing, TooBusy};
pub use memory::MemoryBound;
/// What a [`Listener`] chooses by.
pub use wsi_policy::Route;

pub use options::{AgentSocket, ClientTls, Configurator, Listener, Options, Server, ShardOptions, Upstream};
pub use revision::{ReloadError, Reloader, Revision};

use crate::{
    agent::{Agents, Compiler},
    budget::Budget,
    control::{QUESTIONS_MAX, Question},
    core::ConnectionCount,
    revision::Handover,
    runtime::Core,
    shard::{Shard, Shared},
    wake::{Command, Wake},
};

/// Whether this kernel gives a shard the ring that it needs; `Ok(false)`: it does, but without the flags that make it fast.
///
/// # Errors
/// The kernel's, from `io_uring_setup(2)`.
pub fn probe() -> io::Result<bool> {
    ring::Ring::new().map(|ring| ring.is_deferred())
}

/// Running shards.
#[derive(Debug)]
pub struct Dataplane {
    cores: Vec<Core>,
    wakes: Vec<Wake>,
    handovers: Vec<Sender<Handover>>,
    questions: Vec<SyncSender<Question>>,
    /// Told by each shard when it ends.
    done: Receiver<()>,
}

/// Why a data plane did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "can't listen on {address}: {source}; is the port in use, or below 1024 without the right to bind it?"
    )]
    Listen { address: SocketAddr, source: io::Error },
    #[error(
        "can't listen on {}: {source}; is its folder there, may it be written, and does nobody else listen there?", path.display()
    )]
    Agent { path: PathBuf, source: io::Error },
    #[error(
        "can't start shard {shard}: {source}; `websocket-inspector doctor` tells what this machine lacks"
    )]
    Shard { shard: usize, source: io::Error },
}

impl Dataplane {
    /// Binds all listeners, then starts the shards.
    ///
    /// # Errors
    /// An address that can't be bound, or a kernel that lacks what a shard needs.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let shared = Shared {
            revision: options.revision,
            connections: ConnectionCount::new(options.connections_max),
            memory: Budget::new(options.memory_max),
            drain_timeout: options.drain_timeout,
        };
        let agents = agent::listen(options.agents)?;
        let compiler =
            Compiler::start_for(&agents).map_err(|source| StartError::Shard { shard: 0, source })?;
        let shards = options.shards.len();
        let mut agents = agent::spread(agents, shards);
        let mut prepared = Vec::new();
        for (shard, each) in options.shards.into_iter().enumerate() {
            let sockets = shared
                .revision
                .listeners
                .iter()
                .map(|listener| {
                    listener::listen(listener.bind)
                        .map_err(|source| StartError::Listen { address: listener.bind, source })
                })
                .collect::<Result<Vec<_>, _>>()?;
            let wake = Wake::new().map_err(|source| StartError::Shard { shard, source })?;
            let agents = agents.get_mut(shard).map(std::mem::take).unwrap_or_default();
            prepared.push((each, sockets, agents, wake));
        }
        let (tell_done, done) = mpsc::channel();
        let mut plane =
            Self { cores: Vec::new(), wakes: Vec::new(), handovers: Vec::new(), questions: Vec::new(), done };
        for (shard, (each, sockets, agents, wake)) in prepared.into_iter().enumerate() {
            let (shared, cpu, theirs) = (shared.clone(), each.cpu, wake.clone());
            let number = u16::try_from(shard).unwrap_or(u16::MAX);
            let compiler = compiler.clone();
            let (handover, handovers) = mpsc::channel();
            let (question, questions) = mpsc::sync_channel(QUESTIONS_MAX);
            let make = move || {
                let agents = Agents::new(agents, &shared.revision.engines, compiler, theirs.clone());
                Shard::new(number, each, shared, sockets, agents, theirs, (handovers, questions))
            };
            match Core::spawn(&format!("shard-{shard}"), cpu, tell_done.clone(), make) {
                Ok(core) => {
                    plane.cores.push(core);
                    plane.wakes.push(wake);
                    plane.handovers.push(handover);
                    plane.questions.push(question);
                }
                Err(source) => {
                    plane.drainer().drain();
                    return Err(StartError::Shard { shard, source });
                }
            }
        }
        Ok(plane)
    }

    /// A handle that other threads end the data plane with.
    pub fn drainer(&self) -> Drainer {
        Drainer { wakes: self.wakes.clone().into() }
    }

    /// A handle that other threads hand revisions over with.
    pub fn reloader(&self) -> Reloader {
        Reloader::new(self.wakes.iter().cloned().zip(self.handovers.iter().cloned()))
    }

    /// A handle that other threads ask about connections with.
    pub fn control(&self) -> Control {
        Control::new(self.wakes.iter().cloned().zip(self.questions.iter().cloned()))
    }

    /// Waits until all shards are done: after a drain, or when one ended for another reason, which ends the others too.
    ///
    /// # Errors
    /// The first shard's that did not end in order.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        // A process that serves on half of its cores would hide it for ever.
        if self.done.recv().is_ok() {
            self.drainer().drain();
        }
        for core in self.cores {
            result = result.and(core.join());
        }
        result
    }
}

/// Tells the shards to end their connections and themselves.
#[derive(Clone, Debug)]
pub struct Drainer {
    wakes: Arc<[Wake]>,
}

impl Drainer {
    /// Accepts nothing more, closes every connection with 1001 and gives them the drain timeout.
    pub fn drain(&self) {
        for wake in self.wakes.iter() {
            wake.send(Command::Drain);
        }
    }
}
