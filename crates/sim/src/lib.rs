//! Whole connections in virtual time, from one seed: both peers, links that cut, delay, stall and reset, an oracle that inspects
//! the plain way, and checkers that look after every step.
//!
//! [`world::run`] plays one seed. A failure says the seed; the same seed plays the same connection again.

pub mod checker;
pub mod link;
pub mod oracle;
pub mod peer;
pub mod random;
pub mod scenario;
pub mod world;
