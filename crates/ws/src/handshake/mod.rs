//! The upgrade from HTTP/1.1 (RFC 6455 section 4), both legs of an intermediary.
//!
//! ```text
//!   client  -- Request::parse --------->  write_upstream_request  -->  upstream
//!   client  <-- write_client_response --  Response::verify        <--  upstream
//! ```
//!
//! Neither head is passed on: each is read strictly and written anew in one canonical form, with a key of our own
//! upstream and no extensions but permessage-deflate, which is agreed on with each side apart. What two parsers could read differently is refused, so that the upstream can't see another
//! request than the one that was judged here. Nothing is written to a head that was not validated before.

pub mod limits;

mod accept;
mod connection;
mod error;
mod extensions;
mod forward;
mod head;
mod names;
mod refusal;
mod request;
mod response;
mod scanner;
mod token;
mod uri;

pub use accept::{Key, accept_value};
pub use error::HandshakeError;
pub(crate) use extensions::Extension;
pub use forward::{Hop, write_client_response, write_upstream_request};
pub use head::Field;
pub use limits::HeadLimits;
pub use refusal::{write_error, write_refusal, write_rejection};
pub use request::Request;
pub use response::{Accepted, Response};
pub use scanner::HeadScanner;

#[cfg(test)]
mod tests;
