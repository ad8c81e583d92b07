//! RFC 6455 as a sans-io core: it knows no sockets, no clocks and no policy.
//!
//! Bytes go in, events come out, the same events for any split of the same bytes. [`handshake`] reads and writes the
//! upgrade, [`decoder`] frames, [`assembler`] puts fragments together, [`error::ProtocolError::close_code`] is the one place where
//! a fault becomes a close code.

pub mod close;
pub mod error;
pub mod frame;
pub mod handshake;

pub use close::{CloseCode, ClosePayload};
pub use error::ProtocolError;
pub use frame::{Header, Opcode, Role};
