//! A socket, and TLS on it if it has that.

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, Connection, ServerConfig, pki_types::ServerName};

/// Text, and records of what was taken, that wait in a TLS connection; beyond it nothing more is taken.
const TLS_BUFFER_SIZE_MAX: usize = 64 << 10;

/// What a TLS connection holds besides, in bytes: measured, with what a handshake leaves behind.
pub(crate) const TLS_SIZE: u64 = 9 << 10;
/// What waits to be sent, and a record that is not complete, twice: as it came and opened.
pub(crate) const TLS_SIZE_MAX: u64 = TLS_SIZE + TLS_BUFFER_SIZE_MAX as u64 + 2 * (16 << 10);

/// A non-blocking stream. Reads and writes are those of a socket, whether there is TLS on it or not.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: TcpStream,
    /// Boxed: it is large.
    tls: Option<Box<Tls>>,
}

/// The TLS of one stream (RFC 8446).
struct Tls {
    connection: Connection,
    /// Why the peer was not believed.
    fault: Option<rustls::Error>,
}

impl Stream {
    pub fn plain(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Speaks TLS from here on, as the server.
    ///
    /// # Errors
    /// The configuration's.
    pub fn accept_tls(&mut self, config: &Arc<ServerConfig>) -> Result<(), rustls::Error> {
        let connection = rustls::ServerConnection::new(Arc::clone(config))?;
        self.tls = Some(Tls::new(connection.into()));
        Ok(())
    }

    /// Speaks TLS from here on, as the client of a server that must prove to be `name`.
    ///
    /// # Errors
    /// The configuration's.
    pub fn begin_tls(
        &mut self,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<(), rustls::Error> {
        let connection = rustls::ClientConnection::new(Arc::clone(config), name)?;
        self.tls = Some(Tls::new(connection.into()));
        self.push().map(drop).map_err(|_| rustls::Error::General("the socket is gone".into()))
    }

    /// Takes records that were read before there was TLS.
    pub fn take_records(&mut self, mut records: &[u8]) -> io::Result<()> {
        while !records.is_empty() && self.tls.is_some() {
            self.pull_from(&mut records)?;
        }
        Ok(())
    }

    /// What TLS holds, in bytes.
    pub fn memory_size(&self) -> u64 {
        self.tls.as_ref().map_or(0, |_| TLS_SIZE)
    }

    #[inline]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Why the peer was not believed.
    pub fn tls_fault(&self) -> Option<&rustls::Error> {
        self.tls.as_ref()?.fault.as_ref()
    }

    /// What was written is not all with the kernel.
    #[inline]
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.connection.wants_write())
    }

    /// As of a socket: 0 at the end, and `WouldBlock` when nothing is there.
    #[inline]
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.tls.is_none() { self.socket.read(buffer) } else { self.read_tls(buffer) }
    }

    /// As of a socket: how much was taken, and `WouldBlock` when nothing can be.
    #[inline]
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.tls.is_none() { self.socket.write(bytes) } else { self.write_tls(bytes) }
    }

    /// Gives the kernel what waits. `true`: it took some of it.
    ///
    /// # Errors
    /// The socket's, but for `WouldBlock`.
    pub fn push(&mut self) -> io::Result<bool> {
        let Self { socket, tls: Some(tls) } = self else { return Ok(false) };
        let mut has_pushed = false;
        while tls.connection.wants_write() {
            match tls.connection.write_tls(socket) {
                Ok(_) => has_pushed = true,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(has_pushed)
    }

    /// Ends our side.
    pub fn shut_down_write(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.connection.send_close_notify();
            self.push()?;
        }
        self.socket.shutdown(Shutdown::Write)
    }

    fn read_tls(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = &mut self.tls else { return Ok(0) };
            match tls.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Whether a peer says good-bye before it goes makes no difference: WebSocket says its own.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            let Self { socket, tls: Some(tls) } = self else { return Ok(0) };
            tls.connection.read_tls(socket)?;
            self.process()?;
        }
    }

    fn pull_from(&mut self, records: &mut &[u8]) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.connection.read_tls(records)?;
        }
        self.process()
    }

    fn process(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        let result = tls.connection.process_new_packets();
        let result = result.map(drop).map_err(|fault| {
            tls.fault = Some(fault);
            io::Error::from(ErrorKind::InvalidData)
        });
        // Answers of a handshake, and alerts.
        self.push()?;
        result
    }

    fn write_tls(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            self.push()?;
            let Some(tls) = &mut self.tls else { return Ok(taken) };
            if tls.connection.wants_write() || taken == bytes.len() {
                break;
            }
            match tls.connection.writer().write(&bytes[taken..])? {
                // A handshake is under way, and the text that waits for it is enough.
                0 => break,
                size => taken += size,
            }
        }
        if taken == 0 && !bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }
}

impl Tls {
    fn new(mut connection: Connection) -> Box<Self> {
        connection.set_buffer_limit(Some(TLS_BUFFER_SIZE_MAX));
        Box::new(Self { connection, fault: None })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("fault", &self.fault).finish_non_exhaustive()
    }
}
