//! One event loop of the echo server.

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::OwnedFd,
    sync::Arc,
};

use super::{connection::Connection, reflector::HEADROOM};
use crate::{
    Error,
    poller::{Interest, Poller, Ready},
};

const READ_SIZE: usize = 64 * 1024;
const LISTENER: usize = usize::MAX;
const STOP: usize = usize::MAX - 1;

#[derive(Debug)]
pub(super) struct Shard {
    poller: Poller,
    listener: TcpListener,
    /// False while there are no descriptors left.
    accepts: bool,
    /// Accepts offers of permessage-deflate.
    deflate: bool,
    /// Readable when it is time to stop.
    _stop: Arc<OwnedFd>,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    buffer: Vec<u8>,
}

impl Shard {
    pub fn new(listener: TcpListener, stop: Arc<OwnedFd>, deflate: bool) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER, Interest::Read)?;
        poller.add(&*stop, STOP, Interest::Read)?;
        Ok(Self {
            poller,
            listener,
            accepts: true,
            deflate,
            _stop: stop,
            connections: Vec::new(),
            free: Vec::new(),
            buffer: vec![0; HEADROOM + READ_SIZE],
        })
    }

    pub fn serve(mut self) -> Result<(), Error> {
        let failed = || Error::io("echo server", "this is not expected; report it with the kernel's version");
        let mut ready = Vec::new();
        loop {
            self.poller.wait(&mut ready, None).map_err(failed())?;
            for event in &ready {
                match event.token {
                    STOP => return Ok(()),
                    LISTENER => self.accept().map_err(failed())?,
                    _ => self.handle(*event).map_err(failed())?,
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The client gave up in between.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                // No descriptors: the others wait in the backlog until a connection ends.
                Err(_) => {
                    self.accepts = false;
                    return self.poller.remove(&self.listener);
                }
            }
        }
    }

    fn admit(&mut self, stream: std::net::TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let index = self.free.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        self.poller.add(&stream, index, Interest::Read)?;
        self.connections[index] = Some(Connection::new(stream, self.deflate));
        Ok(())
    }

    fn handle(&mut self, event: Ready) -> io::Result<()> {
        // An event may be left over from a connection that ended earlier in the same batch.
        let Some(connection) = self.connections.get_mut(event.token).and_then(Option::as_mut) else {
            return Ok(());
        };
        let before = connection.interest;
        let outcome = match event.writable {
            true => connection.handle_writable(),
            false => connection.handle_readable(&mut self.buffer),
        };
        if !matches!(outcome, Ok(true)) {
            return self.end(event.token);
        }
        if connection.interest != before {
            self.poller.modify(&connection.stream, event.token, connection.interest)?;
        }
        Ok(())
    }

    fn end(&mut self, index: usize) -> io::Result<()> {
        self.connections[index] = None;
        self.free.push(index);
        if !self.accepts {
            self.accepts = true;
            self.poller.add(&self.listener, LISTENER, Interest::Read)?;
        }
        Ok(())
    }
}
