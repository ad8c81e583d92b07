//! One client of the echo server.

use std::{
    io::{self, ErrorKind, Read},
    net::{Shutdown, TcpStream},
};

use wsi_ws::{
    HEADER_SIZE_MAX, Header, Opcode, ProtocolError, Role,
    deflate::Flow,
    handshake::{HandshakeError, HeadLimits, HeadScanner, Request, accept_value, write_refusal},
};

use super::reflector::{End, HEADROOM, Reflection, Reflector};
use crate::{
    outbox::{Outbox, send},
    poller::Interest,
};

#[derive(Debug)]
pub(super) struct Connection {
    pub stream: TcpStream,
    pub interest: Interest,
    state: State,
    outbox: Outbox,
}

#[derive(Debug)]
enum State {
    Upgrading {
        head: Vec<u8>,
        /// An offer of permessage-deflate is accepted.
        deflate: bool,
        scanner: Box<HeadScanner>,
    },
    Open(Reflector),
    /// All is said; what still arrives is thrown away, so that no reset overtakes our last words.
    Lingering,
}

impl Connection {
    pub fn new(stream: TcpStream, deflate: bool) -> Self {
        let scanner = Box::new(HeadScanner::new(Role::Client, HeadLimits::default()));
        Self {
            stream,
            interest: Interest::Read,
            state: State::Upgrading { head: Vec::new(), deflate, scanner },
            outbox: Outbox::default(),
        }
    }

    /// Reads once and replies. False: the connection is over.
    ///
    /// Nothing is read while a reply waits, so what waits is bounded by one read.
    pub fn handle_readable(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        if !self.outbox.is_empty() {
            return Ok(true);
        }
        let received = match self.stream.read(&mut buffer[HEADROOM..]) {
            Ok(0) => return Ok(false),
            Ok(size) => size,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(true);
            }
            Err(error) => return Err(error),
        };
        match &mut self.state {
            State::Open(_) => self.reflect(buffer, received)?,
            State::Upgrading { .. } => self.upgrade(buffer, received)?,
            State::Lingering => {}
        }
        self.settle()
    }

    pub fn handle_writable(&mut self) -> io::Result<bool> {
        self.outbox.flush(&mut self.stream)?;
        self.settle()
    }

    fn settle(&mut self) -> io::Result<bool> {
        self.interest = if self.outbox.is_empty() { Interest::Read } else { Interest::Write };
        if matches!(self.state, State::Lingering) && self.outbox.is_empty() {
            // The peer may be gone already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(true)
    }

    fn reflect(&mut self, buffer: &mut [u8], received: usize) -> io::Result<()> {
        let State::Open(reflector) = &mut self.state else { return Ok(()) };
        let Reflection { reply, end } = reflector.reflect(buffer, received);
        let reply = &buffer[reply];
        let sent = send(&mut self.stream, reply)?;
        self.outbox.bytes.extend_from_slice(&reply[sent..]);
        if let Some(end) = end {
            self.state = State::Lingering;
            if let End::Fault(fault) = end {
                write_close(&mut self.outbox.bytes, fault);
            }
            self.outbox.flush(&mut self.stream)?;
        }
        Ok(())
    }

    fn upgrade(&mut self, buffer: &mut [u8], received: usize) -> io::Result<()> {
        let State::Upgrading { head, deflate, scanner } = &mut self.state else { return Ok(()) };
        head.extend_from_slice(&buffer[HEADROOM..HEADROOM + received]);
        let answer = match scanner.head_end(head) {
            Ok(None) => return Ok(()),
            Ok(Some(end)) => accept(&head[..end], *deflate, &mut self.outbox.bytes)
                .map(|deflates| (deflates, head.split_off(end))),
            Err(fault) => Err(fault),
        };
        match answer {
            Ok((deflates, rest)) => {
                self.outbox.flush(&mut self.stream)?;
                self.state = State::Open(Reflector::new(deflates));
                // A client that does not wait for the 101: what it sent fits, for it came with this read.
                buffer[HEADROOM..HEADROOM + rest.len()].copy_from_slice(&rest);
                self.reflect(buffer, rest.len())
            }
            Err(fault) => {
                write_refusal(fault, &mut self.outbox.bytes);
                self.state = State::Lingering;
                self.outbox.flush(&mut self.stream).map(drop)
            }
        }
    }
}

/// Answers, and says whether permessage-deflate was accepted: only if the client asks nothing of our compression, because we do
/// none.
fn accept(head: &[u8], deflate: bool, out: &mut Vec<u8>) -> Result<bool, HandshakeError> {
    let request = Request::parse(head, HeadLimits::default())?;
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept_value(request.key().as_bytes()));
    if let Some(subprotocol) = request.subprotocols().next() {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(subprotocol.as_bytes());
    }
    let deflates = deflate && request.compression().is_some_and(|agreed| agreed.by_server == Flow::default());
    if deflates {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: permessage-deflate");
    }
    out.extend_from_slice(b"\r\n\r\n");
    Ok(deflates)
}

fn write_close(out: &mut Vec<u8>, fault: ProtocolError) {
    let header = Header { fin: true, opcode: Opcode::Close, mask: None, payload_size: 2 };
    let mut bytes = [0; HEADER_SIZE_MAX];
    let size = header.encode(&mut bytes);
    out.extend_from_slice(&bytes[..size]);
    out.extend_from_slice(&fault.close_code().as_u16().to_be_bytes());
}
