//! Bytes that wait for a socket to take them.

use std::{
    io::{self, ErrorKind, Write},
    net::TcpStream,
};

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Sends what the socket takes; true when nothing is left.
    pub fn flush(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        self.sent += send(stream, &self.bytes[self.sent..])?;
        let is_done = self.sent == self.bytes.len();
        if is_done {
            self.bytes.clear();
            self.sent = 0;
        }
        Ok(is_done)
    }
}

/// Writes until `bytes` end or the socket is full; returns how many it took.
pub(crate) fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(size) => sent += size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
