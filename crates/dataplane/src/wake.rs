//! How another thread speaks to a shard: a flag, and an eventfd that the shard's ring watches.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, RawFd},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

/// What a shard is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Nothing,
    Drain,
}

/// One end of the line; both ends are alike.
#[derive(Clone, Debug)]
pub(crate) struct Wake {
    event: Arc<File>,
    command: Arc<AtomicU8>,
}

impl Wake {
    /// # Errors
    /// The kernel's, when there is no descriptor left.
    pub fn new() -> io::Result<Self> {
        let event = rustix::event::eventfd(
            0,
            rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC,
        )?;
        Ok(Self { event: Arc::new(File::from(event)), command: Arc::default() })
    }

    pub fn send(&self, command: Command) {
        self.command.store(command as u8, Ordering::Release);
        self.rouse();
    }

    /// Wakes the shard, which looks for itself what there is.
    pub fn rouse(&self) {
        // It fails only when the counter is full, and then the shard is about to wake anyway.
        let _ = (&*self.event).write(&1u64.to_ne_bytes());
    }

    pub fn command(&self) -> Command {
        if self.command.load(Ordering::Acquire) == Command::Drain as u8 {
            Command::Drain
        } else {
            Command::Nothing
        }
    }

    pub fn clear(&self) {
        let _ = (&*self.event).read(&mut [0; 8]);
    }
}

impl AsRawFd for Wake {
    fn as_raw_fd(&self) -> RawFd {
        self.event.as_raw_fd()
    }
}
