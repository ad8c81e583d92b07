//! The shard's own io_uring: readiness of sockets, accepted connections, and one wait for all of them.
//!
//! It asks for readiness (multishot POLL_ADD, 256 bytes of kernel memory a socket) rather than for data, so an idle
//! connection holds no buffer anywhere; reading and writing are plain non-blocking calls.
#![allow(unsafe_code)]
// JUSTIFICATION: the submission queue's `push` is unsafe because entries may carry pointers, and an accepted descriptor comes as
// a number. No safe binding offers multishot poll with DEFER_TASKRUN, which is worth a factor of three per message.

use std::{
    io,
    net::TcpStream,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::token::Token;

const SUBMISSIONS_MAX: u32 = 4096;
const COMPLETIONS_MAX: u32 = 65_536;

const READABLE: u32 = (libc::POLLIN | libc::POLLRDHUP) as u32;
const WRITABLE: u32 = libc::POLLOUT as u32;
const HUNG_UP: u32 = (libc::POLLRDHUP | libc::POLLHUP | libc::POLLERR) as u32;

/// One io_uring, used by the thread that made it.
pub(crate) struct Ring {
    inner: IoUring,
}

/// What has happened to what a [`Token`] stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    pub token: Token,
    result: i32,
    flags: u32,
}

impl Completion {
    /// The operation has ended and must be asked for again.
    pub fn is_last(&self) -> bool {
        !cqueue::more(self.flags)
    }

    /// The peer will send no more, or the connection is broken.
    pub fn is_hung_up(&self) -> bool {
        self.result < 0 || self.result as u32 & HUNG_UP != 0
    }

    /// It was taken off the ring, and what it belonged to may be another by now.
    pub fn is_cancelled(&self) -> bool {
        self.result == -libc::ECANCELED
    }

    /// The connection that an accept gives.
    ///
    /// # Errors
    /// The kernel's reason, such as EMFILE.
    pub fn accepted(&self) -> io::Result<TcpStream> {
        self.accepted_descriptor().map(TcpStream::from)
    }

    /// The same, of whatever kind it is.
    ///
    /// # Errors
    /// The kernel's reason, such as EMFILE.
    pub fn accepted_descriptor(&self) -> io::Result<OwnedFd> {
        if self.result < 0 {
            return Err(io::Error::from_raw_os_error(-self.result));
        }
        // SAFETY: a completed accept gives a new descriptor that nobody else owns, and each completion is asked once.
        Ok(unsafe { OwnedFd::from_raw_fd(self.result) })
    }
}

impl Ring {
    /// A ring whose completions are run by the waiting thread itself, where the kernel can do that (6.1 and later).
    ///
    /// # Errors
    /// The kernel's, from `io_uring_setup(2)`.
    pub fn new() -> io::Result<Self> {
        let best = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS_MAX)
            .build(SUBMISSIONS_MAX);
        let inner = match best {
            Ok(ring) => ring,
            Err(_) => IoUring::builder()
                .setup_coop_taskrun()
                .setup_submit_all()
                .setup_cqsize(COMPLETIONS_MAX)
                .build(SUBMISSIONS_MAX)?,
        };
        Ok(Self { inner })
    }

    /// Completions are run by the waiting thread, not by interrupting it.
    pub fn is_deferred(&self) -> bool {
        self.inner.params().is_setup_single_issuer()
    }

    /// Tells whenever `fd` becomes readable, or its peer hangs up, until removed.
    pub fn poll_readable(&mut self, fd: &impl AsRawFd, token: Token) -> io::Result<()> {
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), READABLE).multi(true).build();
        self.push(&entry.user_data(token.bits()))
    }

    /// Tells once when `fd` becomes writable.
    pub fn poll_writable(&mut self, fd: &impl AsRawFd, token: Token) -> io::Result<()> {
        let entry = opcode::PollAdd::new(types::Fd(fd.as_raw_fd()), WRITABLE).build();
        self.push(&entry.user_data(token.bits()))
    }

    /// Accepts connections, non-blocking, until an error ends it.
    pub fn accept(&mut self, listener: &impl AsRawFd, token: Token) -> io::Result<()> {
        let entry = opcode::AcceptMulti::new(types::Fd(listener.as_raw_fd()))
            .flags(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC)
            .build();
        self.push(&entry.user_data(token.bits()))
    }

    /// Ends a poll, so that the kernel lets go of its socket.
    pub fn remove_poll(&mut self, token: Token) -> io::Result<()> {
        let entry = opcode::PollRemove::new(token.bits()).build();
        self.push(&entry.user_data(Token::NOBODY.bits()))
    }

    /// Submits what was asked, waits for a completion or `timeout`, and appends all completions to `completions`.
    pub fn wait(&mut self, timeout: Duration, completions: &mut Vec<Completion>) -> io::Result<()> {
        let timespec = types::Timespec::from(timeout);
        let arguments = types::SubmitArgs::new().timespec(&timespec);
        match self.inner.submitter().submit_with_args(1, &arguments) {
            Ok(_) => {}
            Err(error) if is_expected(&error) => {}
            Err(error) => return Err(error),
        }
        completions.extend(self.inner.completion().map(|entry| Completion {
            token: Token::from_bits(entry.user_data()),
            result: entry.result(),
            flags: entry.flags(),
        }));
        Ok(())
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: polls, accepts without an address and poll removals point to no memory, and a descriptor that is
            // closed meanwhile fails its own operation only.
            if unsafe { self.inner.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            self.inner.submit()?;
        }
    }
}

/// A wait that ran out, was interrupted, or found completions that overflowed and must be taken first.
fn is_expected(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}
