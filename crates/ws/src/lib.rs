//! RFC 6455 and RFC 7692 as a sans-io core: it knows no sockets, no clocks and no policy.
//!
//! Bytes go in, events come out, the same events for any split of the same bytes. [`handshake`] reads and writes the
//! upgrade, [`Decoder`] frames, [`Assembler`] puts fragments together and inflates
//! them ([`deflate`]), and [`ProtocolError::close_code`] is the one place where a fault becomes a close code.

pub mod assembler;
pub mod close;
pub mod decoder;
pub mod deflate;
pub mod error;
pub mod frame;
pub mod handshake;
pub mod limits;
pub mod mask;
pub mod utf8;

pub use assembler::{Assembled, Assembler, Message};
pub use close::{CloseCode, ClosePayload};
pub use decoder::{Decoder, Piece};
pub use error::ProtocolError;
pub use frame::{HEADER_SIZE_MAX, Header, Opcode, RSV1, Role};
pub use limits::WireLimits;
