//! Whole connections in virtual time, from one seed: both peers, links that cut, delay, stall and break off, compression on either
//! leg, failures of the inspection itself, an oracle that inspects the plain way, and checkers that compare after every step.
//!
//! [`world::run`] plays one seed. A failure says the seed; the same seed plays the same connection again.

pub mod bucket;
pub mod checker;
pub mod course;
pub mod deflate;
pub mod document;
pub mod fault;
pub mod link;
pub mod memory;
pub mod oracle;
pub mod peer;
pub mod random;
pub mod receiver;
pub mod rules;
pub mod scenario;
pub mod told;
pub mod world;
