//! The server behind the inspector: it answers every message with itself.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use tungstenite::Message;

/// Connections at a time; a demonstration needs a handful.
const CONNECTIONS_MAX: usize = 64;

/// Serves on threads of its own for as long as the process lives.
///
/// # Errors
/// The address can't be bound.
pub(super) fn start(address: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(address)?;
    for _ in 0..CONNECTIONS_MAX {
        let listener = listener.try_clone()?;
        thread::Builder::new().name("echo".into()).spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // However a connection ends, the next one is served.
                let _ = echo(stream);
            }
        })?;
    }
    Ok(())
}

fn echo(stream: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
    stream.set_nodelay(true)?;
    let mut socket = tungstenite::accept(stream).map_err(|error| error.to_string())?;
    loop {
        match socket.read()? {
            message @ (Message::Text(_) | Message::Binary(_)) => socket.send(message)?,
            // Answers to pings and closes are the library's.
            _ => socket.flush()?,
        }
    }
}
