//! Compiles configurations that proxies push, away from the shards: it can take seconds.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{self, SyncSender},
    },
    thread,
};

use wsi_inspect::Engine;

use super::socket::Bound;
use crate::{options::Configurator, wake::Wake};

/// Configurations that wait; a proxy whose is not taken is refused, and asks again later.
const JOBS_MAX: usize = 16;

/// A handle of the thread that compiles. It ends with the last handle.
#[derive(Clone)]
pub(crate) struct Compiler {
    jobs: Option<SyncSender<Job>>,
}

pub(crate) struct Job {
    pub configurator: Configurator,
    /// On its shard.
    pub socket: usize,
    pub config: Arc<str>,
    /// Of the file's policy that it is laid over.
    pub revision: u32,
    pub done: mpsc::Sender<Done>,
    pub wake: Wake,
}

/// What has become of a job.
pub(crate) struct Done {
    pub socket: usize,
    pub config: Arc<str>,
    pub revision: u32,
    pub result: Result<Arc<Engine>, String>,
}

impl Compiler {
    /// # Errors
    /// No thread could be started.
    pub fn start_for(sockets: &[Bound]) -> io::Result<Self> {
        if sockets.is_empty() {
            return Ok(Self { jobs: None });
        }
        let (jobs, theirs) = mpsc::sync_channel(JOBS_MAX);
        thread::Builder::new().name("agent-config".into()).spawn(move || theirs.iter().for_each(run))?;
        Ok(Self { jobs: Some(jobs) })
    }

    /// `false`: too many wait already.
    pub fn take(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(job).is_ok())
    }
}

fn run(job: Job) {
    let Job { configurator, socket, config, revision, done, wake } = job;
    let compile = std::panic::AssertUnwindSafe(|| configurator.compile(&config));
    let result = std::panic::catch_unwind(compile).unwrap_or_else(|_| {
        Err("this configuration can't be compiled because of a bug; please report it".into())
    });
    if let Err(error) = &result {
        eprintln!("agent: a proxy's configuration is refused: {error}");
    }
    // A shard that has ended needs it no more.
    let _ = done.send(Done { socket, config, revision, result });
    wake.rouse();
}
