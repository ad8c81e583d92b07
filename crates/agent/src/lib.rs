//! Sentinel's agent protocol (today: Zentinel's), versions 1 and 2, without a socket.
//!
//! [`Framing`] cuts a byte stream into messages, [`Link`] is one connection of the proxy's and answers them, and
//! [`Sessions`] are the WebSockets that the proxy tells of: their events come over any of its connections, so they are
//! found by correlation id.
//!
//! What comes is hostile in two ways: payloads are a client's, and so is the correlation id (the proxy takes it from a
//! request header). Whatever is not understood is an error that ends the connection to the proxy, never an "allow".

mod answer;
mod event;
mod fault;
mod framing;
mod id;
mod json;
mod link;
mod msgpack;
mod sessions;

pub use self::{
    fault::Fault,
    framing::{Envelope, Framing, Kind, MESSAGE_SIZE_MAX, Next, Version},
    id::CorrelationId,
    link::{Context, Handled, Link, Peer, Records},
    sessions::{Sessions, SessionsOptions, Stats},
};
