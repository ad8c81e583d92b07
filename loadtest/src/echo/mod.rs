//! An echo server: cheap, so that what stands in front of it is what is measured.

mod connection;
mod reflector;
mod shard;

use std::{
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    sync::Arc,
    thread::JoinHandle,
};

use rustix::event::{EventfdFlags, eventfd};
use socket2::{Domain, Protocol, Socket, Type};

use crate::{Error, machine};
use shard::Shard;

/// The largest message that is echoed, in bytes; a larger one is closed with 1009.
pub const MESSAGE_SIZE_MAX: u64 = 16 << 20;

const BACKLOG: i32 = 4096;

/// How to serve.
#[derive(Clone, Debug)]
pub struct EchoOptions {
    /// Port 0 takes a free one.
    pub bind: SocketAddr,
    /// Event loops, each with a listener of its own between which the kernel spreads connections.
    pub threads: usize,
    /// An offer of permessage-deflate is accepted.
    pub deflate: bool,
}

impl Default for EchoOptions {
    fn default() -> Self {
        Self { bind: SocketAddr::from(([127, 0, 0, 1], 0)), threads: 1, deflate: false }
    }
}

/// A running echo server; it stops when dropped.
///
/// It accepts an upgrade on any path, selects the first subprotocol offered, and sends each message back as it came,
/// fragments included, without waiting for a frame's end. Text is not checked for UTF-8.
#[derive(Debug)]
pub struct Echo {
    address: SocketAddr,
    stop: Arc<OwnedFd>,
    threads: Vec<JoinHandle<Result<(), Error>>>,
}

impl Echo {
    /// Binds, and serves on threads of its own, which run on the CPUs that the caller may use.
    ///
    /// # Errors
    /// When the address can't be bound.
    pub fn start(options: &EchoOptions) -> Result<Self, Error> {
        if options.threads == 0 {
            return Err(Error::Options("an echo server needs a thread; take --threads 1 or more".to_owned()));
        }
        machine::reserve_descriptors(0)?;
        let failed = |what: &str| {
            Error::io(
                format!("echo server: {what} {}", options.bind),
                "choose a free port of this machine, or port 0",
            )
        };
        let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let stop = Arc::new(stop.map_err(Into::into).map_err(failed("setting up"))?);
        let mut echo = Self { address: options.bind, stop, threads: Vec::new() };
        for _ in 0..options.threads {
            let listener = listen(echo.address).map_err(failed("binding"))?;
            echo.address = listener.local_addr().map_err(failed("binding"))?;
            let shard = Shard::new(listener, Arc::clone(&echo.stop), options.deflate)
                .map_err(failed("setting up"))?;
            let thread = std::thread::Builder::new().name("echo".to_owned()).spawn(move || shard.serve());
            echo.threads.push(thread.map_err(failed("starting a thread for"))?);
        }
        Ok(echo)
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL that leads here.
    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Serves until a thread fails, which should never be.
    ///
    /// # Errors
    /// Why it failed.
    pub fn wait(mut self) -> Result<(), Error> {
        self.threads.drain(..).try_for_each(join)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ = join(thread);
        }
    }
}

fn join(thread: JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
