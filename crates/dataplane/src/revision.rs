//! A configuration that takes the place of another one while connections go on.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use wsi_inspect::Engine;

use crate::{
    options::{Listener, Upstream},
    wake::Wake,
};

/// How long shards may take to answer: a turn of theirs, and the scratch space of new patterns.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// What may change while shards run. What was there before keeps its place, because connections refer to it: what is not configured
/// any more stays at its place, and what is new comes last.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Of the configuration, in records: 1 is the one of the start.
    pub number: u32,
    /// As many as at the start; only their routes may differ.
    pub listeners: Arc<[Listener]>,
    /// By [`wsi_policy::UpstreamId`].
    pub upstreams: Arc<[Upstream]>,
    /// By [`wsi_policy::PolicyId`]. One that takes the place of another was compiled over it
    /// ([`Engine::compile_over`]).
    pub engines: Arc<[Arc<Engine>]>,
}

/// Hands revisions to running shards.
#[derive(Clone, Debug)]
pub struct Reloader {
    shards: Arc<[(Wake, Sender<Handover>)]>,
}

/// A revision on its way to a shard, and where the shard answers.
pub(crate) struct Handover {
    pub revision: Revision,
    pub answer: Sender<Result<(), String>>,
}

/// A revision that some shard does not go by.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(
        "a shard can't go by the new configuration and keeps the old one: {0}; restart to be sure that all go by the same"
    )]
    Refused(String),
    #[error("a shard did not answer within 10 s; restart to be sure that all go by the same configuration")]
    Silent,
}

impl Reloader {
    pub(crate) fn new(shards: impl IntoIterator<Item = (Wake, Sender<Handover>)>) -> Self {
        Self { shards: shards.into_iter().collect() }
    }

    /// Waits until all shards go by `revision`: new upgrades at once, and open connections from their next message on.
    ///
    /// # Errors
    /// A shard has no memory for it, or doesn't answer.
    pub fn install(&self, revision: &Revision) -> Result<(), ReloadError> {
        let (answer, answers) = mpsc::channel();
        for (wake, shard) in self.shards.iter() {
            let handover = Handover { revision: revision.clone(), answer: answer.clone() };
            // A shard that has ended goes by nothing.
            if shard.send(handover).is_ok() {
                wake.rouse();
            }
        }
        drop(answer);
        gather(&answers)
    }
}

fn gather(answers: &Receiver<Result<(), String>>) -> Result<(), ReloadError> {
    let ends = Instant::now() + ANSWER_TIMEOUT;
    let mut result = Ok(());
    loop {
        match answers.recv_timeout(ends.saturating_duration_since(Instant::now())) {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => result = Err(ReloadError::Refused(reason)),
            Err(RecvTimeoutError::Disconnected) => return result,
            Err(RecvTimeoutError::Timeout) => return Err(ReloadError::Silent),
        }
    }
}

impl fmt::Debug for Handover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handover").field("revision", &self.revision.number).finish_non_exhaustive()
    }
}
