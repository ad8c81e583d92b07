//! One connection of the load.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read},
    net::TcpStream,
    time::{Duration, Instant},
};

use wsi_ws::{ClosePayload, Opcode, ProtocolError, deflate::Compressor};

use crate::{
    Error, Payload,
    client::Client,
    inbound::{DeflateInbound, Inbound, Incoming, write_frame, write_message},
    outbox::Outbox,
    random::Random,
};

/// What connections share: the message, mask keys, and room for one read.
#[derive(Debug)]
pub(super) struct Shared {
    pub payload: Payload,
    pub random: Random,
    pub buffer: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub stream: TcpStream,
    number: usize,
    inbound: Reader,
    compressor: Option<Box<Compressor>>,
    outbox: Outbox,
    /// When each message was sent whose echo is awaited.
    sent_at: VecDeque<Instant>,
    sent: u64,
    echoed: u64,
    /// Bytes of the frames of messages sent.
    sent_bytes: u64,
}

#[derive(Debug)]
enum Reader {
    Plain(Inbound),
    Deflate(Box<DeflateInbound>),
}

impl Reader {
    fn receive<E: From<ProtocolError>>(
        &mut self,
        bytes: &[u8],
        hear: impl FnMut(Incoming<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Plain(inbound) => inbound.receive(bytes, hear),
            Self::Deflate(inbound) => inbound.receive(bytes, hear),
        }
    }
}

/// Why a connection can't go on; it becomes an [`Error`] with the connection's number.
enum Fault {
    Protocol(ProtocolError),
    Closed(String),
    Mismatch,
}

impl From<ProtocolError> for Fault {
    fn from(fault: ProtocolError) -> Self {
        Self::Protocol(fault)
    }
}

impl Connection {
    pub fn new(client: Client, number: usize, in_flight: usize) -> std::io::Result<(Self, Vec<u8>)> {
        client.stream.set_nonblocking(true)?;
        let plain = || Reader::Plain(Inbound::default());
        let inbound = client
            .compression
            .map_or_else(plain, |agreed| Reader::Deflate(Box::new(DeflateInbound::new(agreed.by_server))));
        let compressor = client
            .compression
            .filter(|agreed| Compressor::supports(agreed.by_client))
            .map(|agreed| Box::new(Compressor::new(agreed.by_client)));
        let connection = Self {
            stream: client.stream,
            number,
            inbound,
            compressor,
            outbox: Outbox::default(),
            sent_at: VecDeque::with_capacity(in_flight),
            sent: 0,
            echoed: 0,
            sent_bytes: 0,
        };
        Ok((connection, client.rest))
    }

    pub fn outstanding(&self) -> u64 {
        self.sent - self.echoed
    }

    pub fn is_compressed(&self) -> bool {
        self.compressor.is_some()
    }

    /// Bytes of the frames of messages sent, and how many messages that were.
    pub fn sent(&self) -> (u64, u64) {
        (self.sent_bytes, self.sent)
    }

    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Queues one message more.
    pub fn queue(&mut self, shared: &mut Shared, now: Instant) {
        let opcode = shared.payload.opcode();
        let key = shared.random.mask_key();
        let before = self.outbox.bytes.len();
        let message = shared.payload.stamped(self.number, self.sent);
        write_message(&mut self.outbox.bytes, opcode, message, self.compressor.as_deref_mut(), key);
        self.sent_bytes += (self.outbox.bytes.len() - before) as u64;
        self.sent += 1;
        self.sent_at.push_back(now);
    }

    pub fn flush(&mut self) -> Result<(), Error> {
        let outcome = self.outbox.flush(&mut self.stream).map(drop);
        outcome.map_err(|error| self.broken(&error.to_string()))
    }

    /// Reads once; tells `record` the latency of each echo.
    pub fn handle_readable(
        &mut self,
        shared: &mut Shared,
        record: impl FnMut(Duration),
    ) -> Result<(), Error> {
        let size = match self.stream.read(&mut shared.buffer) {
            Ok(0) => return Err(self.broken("without a close frame")),
            Ok(size) => size,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(self.broken(&error.to_string())),
        };
        let buffer = std::mem::take(&mut shared.buffer);
        let outcome = self.handle_input(&buffer[..size], shared, record);
        shared.buffer = buffer;
        outcome
    }

    pub fn handle_input(
        &mut self,
        bytes: &[u8],
        shared: &mut Shared,
        mut record: impl FnMut(Duration),
    ) -> Result<(), Error> {
        let now = Instant::now();
        let Self { number, inbound, outbox, sent_at, echoed, .. } = self;
        let outcome = inbound.receive(bytes, |incoming| {
            match incoming {
                Incoming::Message(opcode, message) => {
                    let Some(sent_at) = sent_at.pop_front() else { return Err(Fault::Mismatch) };
                    let is_equal = opcode == shared.payload.opcode()
                        && message == shared.payload.stamped(*number, *echoed);
                    if !is_equal {
                        return Err(Fault::Mismatch);
                    }
                    *echoed += 1;
                    record(now - sent_at);
                }
                Incoming::Ping(payload) => {
                    write_frame(&mut outbox.bytes, Opcode::Pong, payload, shared.random.mask_key());
                }
                Incoming::Pong(_) => {}
                Incoming::Close(close) => return Err(Fault::Closed(describe(close))),
            }
            Ok(())
        });
        outcome.map_err(|fault| self.error(fault))
    }

    /// Says good-bye; the answer is not waited for.
    pub fn close(mut self, shared: &mut Shared) {
        write_frame(&mut self.outbox.bytes, Opcode::Close, &1000u16.to_be_bytes(), shared.random.mask_key());
        let _ = self.outbox.flush(&mut self.stream);
    }

    fn broken(&self, how: &str) -> Error {
        self.error(Fault::Closed(how.to_owned()))
    }

    fn error(&self, fault: Fault) -> Error {
        let connection = self.number;
        match fault {
            Fault::Protocol(fault) => Error::Protocol { connection, fault },
            Fault::Closed(close) => Error::Closed { connection, messages: self.echoed, close },
            Fault::Mismatch => Error::Mismatch { connection, sequence: self.echoed },
        }
    }
}

fn describe(close: ClosePayload<'_>) -> String {
    match close.code {
        Some(code) => format!("with code {} \"{}\"", code.as_u16(), close.reason),
        None => "with a close frame without a code".to_owned(),
    }
}
