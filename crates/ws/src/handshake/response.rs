//! The upstream's answer to our request (RFC 6455 section 4.1, "the client MUST validate").

use std::fmt;

use super::accept::{Key, accept_value};
use super::connection::{Connection, upgrades_to_websocket};
use super::error::HandshakeError;
use super::extensions::Extension;
use super::head::{Field, Head, is_text_byte};
use super::limits::HeadLimits;
use super::token::token;
use crate::deflate::Agreement;

/// A well-formed final answer, borrowed from its head: an upgrade that is still to be verified, or anything else.
#[derive(Clone)]
pub struct Response<'a> {
    head: Head<'a>,
    connection: Connection<'a>,
    status: u16,
    reason: &'a [u8],
}

/// An upgrade that was verified; only [`Response::verify`] makes one.
#[derive(Clone, Debug)]
pub struct Accepted<'a> {
    response: &'a Response<'a>,
    subprotocol: Option<&'a str>,
    compression: Option<Agreement>,
}

impl<'a> Response<'a> {
    /// Reads exactly one head: what [`super::HeadScanner::head_end`] found, from the first byte to the empty line.
    ///
    /// # Errors
    /// A fault of the upstream (status 502): a head that is not well-formed, or an interim answer.
    pub fn parse(head: &'a [u8], limits: HeadLimits) -> Result<Self, HandshakeError> {
        let head = Head::parse(head, limits).map_err(HandshakeError::of_upstream)?;
        let (status, reason) = status_line(head.start_line)?;
        let connection = Connection::parse(&head).map_err(HandshakeError::of_upstream)?;
        Ok(Self { head, connection, status, reason })
    }

    /// 101, or 200 to 599.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// True for a 101, which [`Response::verify`] must see before it counts.
    pub fn is_upgrade(&self) -> bool {
        self.status == 101
    }

    /// Checks that the answer upgrades as we asked, by the `key` that we sent. `offered` tells whether our request
    /// offered a subprotocol; it offered no extension.
    ///
    /// # Errors
    /// The first MUST that the upstream broke (status 502).
    pub fn verify(
        &self,
        key: &Key,
        offered: impl FnMut(&str) -> bool,
    ) -> Result<Accepted<'_>, HandshakeError> {
        self.verify_extended(key, offered, false)
    }

    /// The same, where our request offered [`crate::deflate::OFFER`] if `offered_compression`.
    ///
    /// # Errors
    /// The first MUST that the upstream broke (status 502).
    pub fn verify_extended(
        &self,
        key: &Key,
        offered: impl FnMut(&str) -> bool,
        offered_compression: bool,
    ) -> Result<Accepted<'_>, HandshakeError> {
        if !self.is_upgrade() {
            return Err(HandshakeError::UpstreamStatus);
        }
        self.verify_upgrade(key).map_err(HandshakeError::of_upstream)?;
        let compression = self.verify_extensions(offered_compression)?;
        let subprotocol = self.head.single("sec-websocket-protocol").map_err(HandshakeError::of_upstream)?;
        // A token, even if the caller's answer is yes to everything: it is written to the client.
        let valid = |name: &str| token(name.as_bytes()).is_some();
        if !subprotocol.is_none_or(valid) || !subprotocol.is_none_or(offered) {
            return Err(HandshakeError::UpstreamSubprotocol);
        }
        Ok(Accepted { response: self, subprotocol, compression })
    }

    /// All header fields in order, hop-by-hop ones included.
    pub fn headers(&self) -> impl Iterator<Item = Field<'a>> {
        self.head.fields.iter().copied()
    }

    pub(super) fn reason(&self) -> &'a [u8] {
        self.reason
    }

    /// The fields to pass on beside those that are written anew.
    pub(super) fn end_to_end(&self) -> impl Iterator<Item = &Field<'a>> {
        self.connection.end_to_end(&self.head)
    }

    fn verify_upgrade(&self, key: &Key) -> Result<(), HandshakeError> {
        let head = &self.head;
        if ["content-length", "transfer-encoding", "trailer"].iter().any(|name| head.has(name)) {
            return Err(HandshakeError::UpstreamBody);
        }
        if !head.start_line.starts_with(b"HTTP/1.1 ") {
            return Err(HandshakeError::UpstreamHead);
        }
        if !upgrades_to_websocket(head)? {
            return Err(HandshakeError::UpstreamUpgrade);
        }
        if !self.connection.asks_upgrade() {
            return Err(HandshakeError::UpstreamConnection);
        }
        let accept = head.single("sec-websocket-accept")?;
        if accept.map(str::as_bytes) != Some(&accept_value(key.as_bytes())) {
            return Err(HandshakeError::UpstreamAccept);
        }
        Ok(())
    }

    /// At most the one extension that we offer, once and as we offered it; an empty list is wrong as well.
    fn verify_extensions(&self, offered: bool) -> Result<Option<Agreement>, HandshakeError> {
        if !self.head.has("sec-websocket-extensions") {
            return Ok(None);
        }
        let accepted = Extension::list(self.head.values("sec-websocket-extensions"));
        match accepted.as_deref() {
            Some([extension]) if offered => Agreement::verify(extension),
            _ => None,
        }
        .map(Some)
        .ok_or(HandshakeError::UpstreamExtension)
    }
}

impl<'a> Accepted<'a> {
    /// The subprotocol that the upstream selected, one of those that were offered to it.
    pub fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
    }

    /// What we and the upstream agreed on, if it accepted our offer of permessage-deflate.
    pub fn compression(&self) -> Option<Agreement> {
        self.compression
    }

    pub(super) fn response(&self) -> &'a Response<'a> {
        self.response
    }
}

/// Status and header names only: what is printed reaches logs.
impl fmt::Debug for Response<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &self.head)
            .finish_non_exhaustive()
    }
}

/// HTTP/1.0 will do to refuse; many servers leave out the reason and even the space before it.
fn status_line(line: &[u8]) -> Result<(u16, &[u8]), HandshakeError> {
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "));
    let (digits, reason) = match rest {
        Some([a, b, c]) => ([*a, *b, *c], &b""[..]),
        Some([a, b, c, b' ', reason @ ..]) => ([*a, *b, *c], reason),
        _ => return Err(HandshakeError::UpstreamHead),
    };
    if !digits.iter().all(u8::is_ascii_digit) || !reason.iter().all(|byte| is_text_byte(*byte)) {
        return Err(HandshakeError::UpstreamHead);
    }
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
    match status {
        101 | 200..=599 => Ok((status, reason)),
        100..=199 => Err(HandshakeError::UpstreamInterim),
        _ => Err(HandshakeError::UpstreamStatus),
    }
}
