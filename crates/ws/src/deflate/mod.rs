//! permessage-deflate (RFC 7692), as the endpoint of one leg.
//!
//! An intermediary that inspects is an endpoint on each side: it negotiates with each peer apart ([`Agreement`]), inflates what
//! one sends ([`Inflater`]) and compresses anew for the other ([`Compressor`]). So the windows of the two legs have nothing to do
//! with each other, and a message that is dropped or changed between them breaks neither.

mod compress;
mod inflate;
mod negotiate;

pub use compress::Compressor;
pub use inflate::Inflater;
pub use negotiate::{Agreement, Flow, OFFER};

/// The end of every flushed stream, which a sender leaves out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
