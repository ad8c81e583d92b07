//! One socket of a connection, and what waits to be written to it.

use std::{
    io::{self, ErrorKind},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use wsi_inspect::{OwnedFrame, Role, Worker};

use crate::{
    ring::Ring,
    stream::Stream,
    token::{Key, Token},
};

/// A non-blocking socket. Nothing is buffered while the peer keeps up.
#[derive(Debug)]
pub(crate) struct Leg {
    stream: Stream,
    key: Key,
    role: Role,
    /// Bytes that the socket would not take. Boxed: nearly all legs have none.
    pending: Option<Box<Pending>>,
    /// What was received and is still to be dealt with. Boxed for the same reason.
    unread: Option<Box<Unread>>,
    /// There may be something to read: set by the ring, cleared when a read comes back short.
    pub is_readable: bool,
    /// The peer hung up, so a short read is not the end of what there is.
    pub is_hung_up: bool,
    /// Everything was read and no more will come.
    pub has_ended: bool,
    /// The socket takes nothing more. What the peer sent before it closed may still be there to be read.
    is_deaf: bool,
    shutdown: WriteSide,
    waits_writable: bool,
    is_polled: bool,
}

#[derive(Debug)]
struct Pending {
    buffer: Vec<u8>,
    sent: usize,
    /// When the socket took some of it last, or it began to wait.
    since_ns: u64,
}

#[derive(Debug)]
struct Unread {
    buffer: Vec<u8>,
    /// What is before it has been given.
    at: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteSide {
    Open,
    /// To be shut down when nothing is pending.
    Closing,
    Shut,
}

/// What has become of an attempt to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempted {
    Pending,
    Connected,
    Failed,
}

/// What a read gave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Received {
    Bytes(usize),
    Nothing,
    End,
}

impl Leg {
    pub fn new(stream: TcpStream, key: Key, role: Role) -> Self {
        Self {
            stream: Stream::plain(stream),
            key,
            role,
            pending: None,
            unread: None,
            is_readable: false,
            is_hung_up: false,
            has_ended: false,
            is_deaf: false,
            shutdown: WriteSide::Open,
            waits_writable: false,
            is_polled: false,
        }
    }

    /// Whose socket it is.
    pub fn role(&self) -> Role {
        self.role
    }

    /// Asks the ring to tell when there is something to read.
    pub fn watch(&mut self, ring: &mut Ring) {
        self.is_polled =
            ring.poll_readable(self.stream.socket(), Token::Readable(self.key, self.role)).is_ok();
        if !self.is_polled {
            self.fail();
        }
    }

    /// Asks the ring to tell when the socket takes bytes, or is connected.
    pub fn watch_writable(&mut self, ring: &mut Ring) {
        if !self.waits_writable {
            self.waits_writable =
                ring.poll_writable(self.stream.socket(), Token::Writable(self.key, self.role)).is_ok();
            if !self.waits_writable {
                self.fail();
            }
        }
    }

    /// Speaks TLS from here on, as the server; `records` of it came already.
    ///
    /// # Errors
    /// What keeps it from that.
    pub fn accept_tls(&mut self, config: &Arc<ServerConfig>, records: &[u8]) -> io::Result<()> {
        self.stream.accept_tls(config).map_err(io::Error::other)?;
        self.stream.take_records(records)?;
        self.is_readable |= !records.is_empty();
        Ok(())
    }

    /// Speaks TLS from here on, as the client of a server that must prove to be `name`.
    ///
    /// # Errors
    /// What keeps it from that.
    pub fn begin_tls(&mut self, config: &Arc<ClientConfig>, name: ServerName<'static>) -> io::Result<()> {
        self.stream.begin_tls(config, name).map_err(io::Error::other)
    }

    pub fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Why the peer was not believed.
    pub fn tls_fault(&self) -> Option<&rustls::Error> {
        self.stream.tls_fault()
    }

    /// Asks the ring to tell when the socket takes what TLS has to say of its own.
    #[inline]
    pub fn watch_unsent(&mut self, ring: &mut Ring) {
        if self.stream.wants_write() && !self.is_deaf {
            self.watch_writable(ring);
        }
    }

    /// The ring has told of [`Token::Readable`].
    pub fn on_readable(&mut self, is_hung_up: bool, is_last: bool, ring: &mut Ring) {
        self.is_readable = true;
        self.is_hung_up |= is_hung_up;
        if is_last {
            self.is_polled = false;
            if !self.has_ended {
                self.watch(ring);
            }
        }
    }

    /// The ring has told of [`Token::Writable`].
    pub fn on_writable(&mut self) {
        self.waits_writable = false;
    }

    /// How far an attempt to connect has come.
    pub fn attempt(&self) -> Attempted {
        if self.stream.socket().take_error().unwrap_or_else(Some).is_some() {
            Attempted::Failed
        } else if self.stream.socket().peer_addr().is_ok() {
            Attempted::Connected
        } else {
            // Told for an earlier attempt under the same key.
            Attempted::Pending
        }
    }

    #[inline]
    pub fn receive(&mut self, buffer: &mut [u8]) -> Received {
        if let Some(size) = self.receive_unread(buffer) {
            return Received::Bytes(size);
        }
        if self.has_ended {
            return Received::End;
        }
        match self.stream.read(buffer) {
            Ok(0) => {
                self.has_ended = true;
                self.is_readable = false;
                Received::End
            }
            Ok(size) => {
                // A stream socket that gives less than was asked for is empty: what comes later is told again.
                // Of TLS there may be more that was read already.
                self.is_readable = size == buffer.len() || self.is_hung_up || self.stream.is_tls();
                Received::Bytes(size)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Received::Nothing,
            // A peer that takes nothing more and has nothing more to say is gone.
            Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_deaf => {
                self.is_readable = false;
                Received::Nothing
            }
            Err(_) => {
                self.fail();
                Received::End
            }
        }
    }

    /// Takes back the end of what [`Leg::receive`] gave last: it will be the first that is given again.
    pub fn unreceive(&mut self, rest: &[u8], worker: &mut Worker) {
        match &mut self.unread {
            // It lies there still.
            Some(unread) => unread.at = unread.buffer.len() - rest.len(),
            None => {
                // The copy: the input that these bytes lie in is about to be used for other connections.
                let mut buffer = worker.spare();
                buffer.extend_from_slice(rest);
                self.unread = Some(Box::new(Unread { buffer, at: 0 }));
            }
        }
        self.is_readable = true;
    }

    fn receive_unread(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let unread = self.unread.as_mut()?;
        let rest = &unread.buffer[unread.at..];
        let size = rest.len().min(buffer.len());
        if size == 0 {
            self.unread = None;
            return None;
        }
        buffer[..size].copy_from_slice(&rest[..size]);
        unread.at += size;
        Some(size)
    }

    /// Sends, or keeps what the socket does not take until it does.
    #[inline]
    pub fn send(&mut self, bytes: &[u8], now_ns: u64, ring: &mut Ring, worker: &mut Worker) {
        let sent = if self.pending.is_some() { 0 } else { self.write(bytes) };
        if (sent < bytes.len() || self.stream.wants_write()) && !self.is_deaf {
            // The copy: the input that these bytes lie in is about to be used for other connections.
            let pending = self.pending.get_or_insert_with(|| {
                Box::new(Pending { buffer: worker.spare(), sent: 0, since_ns: now_ns })
            });
            pending.buffer.extend_from_slice(&bytes[sent..]);
            self.watch_writable(ring);
        }
    }

    /// Sends a frame that has a buffer of its own; if it must wait, it waits there.
    pub fn send_frame(&mut self, frame: OwnedFrame, now_ns: u64, ring: &mut Ring, worker: &mut Worker) {
        if self.pending.is_some() {
            self.send(frame.bytes(), now_ns, ring, worker);
            worker.recycle(frame.into_parts().0);
            return;
        }
        let (buffer, start) = frame.into_parts();
        let sent = start + self.write(&buffer[start..]);
        if sent == buffer.len() && !self.stream.wants_write() || self.is_deaf {
            worker.recycle(buffer);
        } else {
            self.pending = Some(Box::new(Pending { buffer, sent, since_ns: now_ns }));
            self.watch_writable(ring);
        }
    }

    /// Writes what waits. `true`: the socket took some of it.
    pub fn flush(&mut self, now_ns: u64, ring: &mut Ring, worker: &mut Worker) -> bool {
        let has_pushed = self.push();
        let Some(mut pending) = self.pending.take() else {
            self.watch_unsent(ring);
            return false;
        };
        let sent = self.write(&pending.buffer[pending.sent..]);
        pending.sent += sent;
        let is_moving = sent > 0 || has_pushed;
        if is_moving {
            pending.since_ns = now_ns;
        }
        if pending.sent == pending.buffer.len() && !self.stream.wants_write() || self.is_deaf {
            worker.recycle(pending.buffer);
        } else {
            self.pending = Some(pending);
            self.watch_writable(ring);
        }
        self.shut_down_when_flushed();
        is_moving
    }

    /// Bytes wait: reading for this leg must pause.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.pending.is_some()
    }

    /// Since when bytes have waited of which the socket has taken none.
    #[inline]
    pub fn waits_since_ns(&self) -> Option<u64> {
        self.pending.as_ref().map(|pending| pending.since_ns)
    }

    /// What is held of both ways, in bytes.
    #[inline]
    pub fn memory_size(&self) -> u64 {
        let pending = self.pending.as_ref().map_or(0, |pending| pending.buffer.capacity());
        let unread = self.unread.as_ref().map_or(0, |unread| unread.buffer.capacity());
        (pending + unread) as u64 + self.stream.memory_size()
    }

    /// Lets go of what waits. A stream that was cut within a frame can't be gone on with, so nothing more is sent on it.
    pub fn abandon(&mut self) {
        self.unread = None;
        if self.pending.take().is_some() {
            self.shutdown = WriteSide::Shut;
            // It ends either way.
            let _ = self.stream.socket().shutdown(Shutdown::Write);
            self.turn_deaf();
        }
    }

    /// It takes nothing more, but was not read to its end.
    pub fn wants_reading(&self) -> bool {
        self.is_deaf && self.is_readable
    }

    /// Ends our side of the stream as soon as everything is written.
    pub fn finish(&mut self) {
        self.unread = None;
        if self.shutdown == WriteSide::Open {
            self.shutdown = WriteSide::Closing;
        }
        self.shut_down_when_flushed();
    }

    /// Both sides of the stream have ended.
    pub fn is_done(&self) -> bool {
        self.has_ended && (self.is_deaf || self.shutdown == WriteSide::Shut)
    }

    /// Takes the socket off the ring; dropping the leg then closes it.
    pub fn release(&mut self, ring: &mut Ring) {
        // A full ring submits what it has; only a ring that is gone refuses, and then nothing holds the socket.
        if self.is_polled {
            let _ = ring.remove_poll(Token::Readable(self.key, self.role));
        }
        if self.waits_writable {
            let _ = ring.remove_poll(Token::Writable(self.key, self.role));
        }
    }

    /// Gives the kernel what TLS holds. `true`: it took some of it.
    fn push(&mut self) -> bool {
        let pushed = self.stream.push();
        if pushed.is_err() {
            self.turn_deaf();
        }
        pushed.unwrap_or(false)
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        if self.is_deaf {
            return 0;
        }
        loop {
            match self.stream.write(bytes) {
                Ok(size) => return size,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return 0,
                Err(_) => {
                    self.turn_deaf();
                    return 0;
                }
            }
        }
    }

    fn shut_down_when_flushed(&mut self) {
        if self.shutdown == WriteSide::Closing && self.pending.is_none() {
            self.shutdown = WriteSide::Shut;
            if self.stream.shut_down_write().is_err() {
                self.turn_deaf();
            }
        }
    }

    /// Writing has failed: read what there still is, to the end.
    fn turn_deaf(&mut self) {
        self.is_deaf = true;
        self.is_hung_up = true;
        self.is_readable = !self.has_ended;
    }

    fn fail(&mut self) {
        self.is_deaf = true;
        self.has_ended = true;
        self.is_readable = false;
    }
}
