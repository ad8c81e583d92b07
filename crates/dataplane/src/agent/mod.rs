//! The agent's sockets on the shards.
//!
//! **One shard serves a socket**, with all connections of its proxies and all WebSockets that they tell of. A proxy sends the
//! events of one WebSocket over four connections in turn, so wherever connections were spread over shards, three events of
//! four would be read on another shard than the one that knows their WebSocket: they would have to be handed over and their
//! answers handed back, two wake-ups of another core for what is microseconds of work, and a proxy asks about one frame of a
//! WebSocket at a time, so these would add to the delay of every frame. Here nothing is shared and nothing is handed over. What it costs:
//! one socket has one core. That core judges several times what a proxy can ask (42,000 frames a second were measured
//! of one that used two cores); who has more proxies gives each a socket of its own, and sockets take shards in turn.

mod compiler;
mod connection;
mod records;
mod server;
mod socket;

pub(crate) use self::{
    compiler::Compiler,
    server::Agents,
    socket::{listen, spread},
};
