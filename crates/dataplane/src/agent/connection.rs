//! One connection of a proxy's: bytes in, answers out.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    sync::Arc,
};

use wsi_agent::{Context, Fault, Framing, Handled, Link, Next, Sessions};
use wsi_inspect::Engine;

use super::records::SocketRecords;
use crate::{
    core::Core,
    ring::{Completion, Ring},
    token::{Key, Token},
};

/// A buffer up to this size, in bytes, is kept for the next message.
const SPARE_SIZE_MAX: usize = 1 << 20;
/// The smallest step by which the buffer for a message grows: a length alone makes nobody hold 16 MiB.
const GROWTH_SIZE: usize = 512 << 10;
/// Answers wait for the end of a read, unless a message of at least this size, in bytes, comes in between.
const LARGE_SIZE: usize = 8 << 10;
/// Reads of one turn: others are waiting too.
const READS_MAX: usize = 16;

/// A non-blocking unix socket with what is on its way.
pub(crate) struct Connection {
    stream: UnixStream,
    pub key: Key,
    /// On its shard.
    pub socket: usize,
    pub link: Link,
    framing: Framing,
    /// The beginning of a message, up to `held`.
    input: Vec<u8>,
    held: usize,
    /// When the first byte of `input` came.
    held_since_ns: u64,
    /// Answers that the socket does not take, from `sent` on.
    output: Vec<u8>,
    sent: usize,
    /// Since when it does not.
    blocked_ns: Option<u64>,
    is_readable: bool,
    /// The proxy hung up, so a short read is not the end of what there is.
    is_hung_up: bool,
    is_polled: bool,
    waits_writable: bool,
    /// It waits for another turn.
    pub is_queued: bool,
    /// What the budget of the process knows that it holds, in bytes.
    pub accounted_size: u64,
}

/// What is to become of a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for the ring.
    Wait,
    /// It has more to read than one turn allows.
    Again,
    /// It waits for this configuration.
    Configure(Arc<str>),
    Fault(Fault),
    /// The message that has begun can't be held.
    NoMemory,
    End,
}

/// What handling messages borrows.
pub(crate) struct Around<'a> {
    pub sessions: &'a mut Sessions,
    pub socket: u64,
    pub listener: u16,
    pub policy: u16,
    /// `max-memory` is reached.
    pub is_memory_full: bool,
    pub core: &'a mut Core,
}

impl Connection {
    pub fn new(stream: UnixStream, key: Key, socket: usize, link: Link) -> Self {
        Self {
            stream,
            key,
            socket,
            link,
            framing: Framing::default(),
            input: Vec::new(),
            held: 0,
            held_since_ns: 0,
            output: Vec::new(),
            sent: 0,
            blocked_ns: None,
            is_readable: false,
            is_hung_up: false,
            is_polled: false,
            waits_writable: false,
            is_queued: false,
            accounted_size: 0,
        }
    }

    /// Bytes in buffers.
    pub fn buffered_size(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Asks the ring to tell when there is something to read.
    pub fn watch(&mut self, ring: &mut Ring) -> bool {
        self.is_polled = ring.poll_readable(&self.stream, Token::AgentReadable(self.key)).is_ok();
        self.is_polled
    }

    /// The ring has told of [`Token::AgentReadable`]; `false`: it won't tell any more.
    pub fn on_readable(&mut self, completion: Completion, ring: &mut Ring) -> bool {
        self.is_readable = true;
        self.is_hung_up |= completion.is_hung_up();
        !completion.is_last() || self.watch(ring)
    }

    /// The ring has told of [`Token::AgentWritable`].
    pub fn on_writable(&mut self, core: &mut Core) -> Step {
        self.waits_writable = false;
        if self.flush(core) { Step::Again } else { Step::End }
    }

    /// Takes the socket off the ring.
    pub fn release(&mut self, ring: &mut Ring) {
        if self.is_polled {
            let _ = ring.remove_poll(Token::AgentReadable(self.key));
        }
        if self.waits_writable {
            let _ = ring.remove_poll(Token::AgentWritable(self.key));
        }
    }

    /// An answer that waits longer than the inspection may take would come too late: the proxy would take it for the answer
    /// to a later frame.
    pub fn is_overdue(&self, now_ns: u64, budget_ns: u64) -> bool {
        self.blocked_ns.is_some_and(|since_ns| now_ns.saturating_sub(since_ns) > budget_ns)
    }

    /// Reads and answers what can be read and answered now.
    pub fn advance(&mut self, around: &mut Around<'_>) -> Step {
        let mut scratch = std::mem::take(&mut around.core.scratch);
        let step = self.advance_with(&mut scratch, around);
        around.core.scratch = scratch;
        match step {
            Step::Fault(_) | Step::NoMemory | Step::End => step,
            step if self.flush(around.core) => step,
            _ => Step::End,
        }
    }

    fn advance_with(&mut self, scratch: &mut [u8], around: &mut Around<'_>) -> Step {
        // What was left when a configuration was waited for.
        if self.held > 0 {
            let step = self.handle_held(around);
            if step != Step::Wait {
                return step;
            }
        }
        for _ in 0..READS_MAX {
            if !self.is_readable || self.blocked_ns.is_some() || self.link.is_waiting() {
                return Step::Wait;
            }
            if around.is_memory_full && self.held > 0 {
                return Step::NoMemory;
            }
            let (size, room) = if self.held == 0 {
                (self.stream.read(scratch), scratch.len())
            } else {
                let room = self.make_room();
                (self.stream.read(&mut self.input[self.held..self.held + room]), room)
            };
            let size = match size {
                Ok(0) => return Step::End,
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return Step::Wait;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Step::End,
            };
            // A stream socket that gives less than was asked for is empty: what comes later is told again.
            self.is_readable = size == room || self.is_hung_up;
            let step = if self.held == 0 {
                self.held_since_ns = around.core.arrived_ns;
                self.handle_all(&mut scratch[..size], around)
            } else {
                self.held += size;
                self.handle_held(around)
            };
            if step != Step::Wait {
                return step;
            }
        }
        if self.is_readable { Step::Again } else { Step::Wait }
    }

    /// Makes room for the rest of the message that has begun, and for nothing else: what follows it is read anew.
    fn make_room(&mut self) -> usize {
        let wanted = match self.framing.next(&self.input[..self.held]) {
            Ok(Next::More(size)) => size,
            _ => self.held + GROWTH_SIZE,
        };
        let target = wanted.min(self.held + GROWTH_SIZE);
        if self.input.len() < target {
            self.input.resize(target, 0);
        }
        target - self.held
    }

    fn handle_held(&mut self, around: &mut Around<'_>) -> Step {
        if let Ok(Next::More(size)) = self.framing.next(&self.input[..self.held])
            && size > self.held
        {
            return Step::Wait;
        }
        let mut input = std::mem::take(&mut self.input);
        let held = std::mem::take(&mut self.held);
        let step = self.handle_all(&mut input[..held], around);
        if self.held == 0 && input.len() <= SPARE_SIZE_MAX {
            self.input = input;
        }
        step
    }

    /// Handles all messages of `bytes`; what is left stays.
    fn handle_all(&mut self, bytes: &mut [u8], around: &mut Around<'_>) -> Step {
        let mut at = 0;
        let mut step = Step::Wait;
        while step == Step::Wait && !self.link.is_waiting() {
            let envelope = match self.framing.next(&bytes[at..]) {
                Ok(Next::Message(envelope)) => envelope,
                Ok(Next::More(_)) => break,
                Err(fault) => return Step::Fault(fault),
            };
            if envelope.size >= LARGE_SIZE && !self.output.is_empty() && !self.flush(around.core) {
                return Step::End;
            }
            let core = &mut *around.core;
            let mut records = SocketRecords {
                sender: &mut core.audit,
                shard: core.shard,
                socket: around.socket,
                listener: around.listener,
                policy: around.policy,
                now_ns: core.now_ns,
            };
            let mut context = Context {
                now_ns: core.now_ns,
                arrived_ns: self.held_since_ns,
                is_memory_full: around.is_memory_full,
                worker: &mut core.worker,
                records: &mut records,
            };
            let message = &mut bytes[at..at + envelope.size];
            match self.link.handle(&envelope, message, around.sessions, &mut self.output, &mut context) {
                Ok(Handled::Done) => {}
                Ok(Handled::Configure(config)) => step = Step::Configure(config),
                Err(fault) => return Step::Fault(fault),
            }
            at += envelope.size;
            // The next one may have come later, but not earlier.
        }
        let rest = &bytes[at..];
        if !rest.is_empty() {
            // The copy: what is read into is used for other connections.
            if self.input.len() < rest.len() {
                self.input.resize(rest.len(), 0);
            }
            self.input[..rest.len()].copy_from_slice(rest);
            self.held = rest.len();
        }
        step
    }

    /// A configuration that was waited for has come.
    pub fn configured(&mut self, result: Result<Arc<Engine>, String>, sessions: &mut Sessions) {
        self.link.configured(result, sessions, &mut self.output);
    }

    /// Writes answers. `false`: the proxy is gone.
    fn flush(&mut self, core: &mut Core) -> bool {
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(size) => self.sent += size,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked_ns.get_or_insert(core.arrived_ns);
                    if !self.waits_writable {
                        let token = Token::AgentWritable(self.key);
                        self.waits_writable = core.ring.poll_writable(&self.stream, token).is_ok();
                    }
                    return self.waits_writable;
                }
                Err(_) => return false,
            }
        }
        self.blocked_ns = None;
        self.sent = 0;
        self.output.clear();
        if self.output.capacity() > SPARE_SIZE_MAX {
            self.output = Vec::new();
        }
        true
    }
}
