//! What can go wrong, and what to do then.

use std::io;

use wsi_ws::{ProtocolError, handshake::HandshakeError};

/// A failure of a test run. The text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}; {advice}")]
    Io { what: String, source: io::Error, advice: &'static str },

    #[error("{0}")]
    Options(String),

    #[error(
        "{needed} more connections need {needed} descriptors, and this process may open {available} more; lower \
         --connections to {available}, or raise the limit (ulimit -n, or LimitNOFILE= of a service)"
    )]
    Descriptors { needed: usize, available: usize },

    #[error(
        "connection {connection}: the upgrade was answered with {status}, not 101; check the path, and the relay's log"
    )]
    Refused { connection: usize, status: u16 },

    #[error("connection {connection}: {fault}; check that --url leads to a WebSocket server")]
    Handshake { connection: usize, fault: HandshakeError },

    #[error(
        "connection {connection}: the other side sent a wrong frame: {fault}; report it to the relay's or server's author"
    )]
    Protocol { connection: usize, fault: ProtocolError },

    #[error(
        "connection {connection}: closed by the other side after {messages} echoes, {close}; if the relay inspects, \
         its rules (schema, rate, size) may refuse this payload"
    )]
    Closed { connection: usize, messages: u64, close: String },

    #[error(
        "connection {connection}: echo {sequence} is not what was sent; is there an echo server behind the relay, and \
         does the relay leave messages as they are?"
    )]
    Mismatch { connection: usize, sequence: u64 },

    #[error(
        "{outstanding} echoes were still missing after {waited_s} s; the relay or the server dropped or withheld them"
    )]
    Lost { outstanding: u64, waited_s: u64 },

    #[error("process {pid}: {what}; give --pid a process that lives through the whole run")]
    Process { pid: u32, what: String },

    #[error("{name} {what}; its output was:\n{log}")]
    Relay { name: &'static str, what: String, log: String },
}

impl Error {
    /// Makes an `io::Error` say what was tried and what to do.
    pub(crate) fn io(what: impl Into<String>, advice: &'static str) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source, advice }
    }
}
