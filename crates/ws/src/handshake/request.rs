//! The client's upgrade request (RFC 6455 section 4.2.1).

use std::fmt;

use super::connection::{Connection, upgrades_to_websocket};
use super::error::HandshakeError;
use super::extensions::Extension;
use super::head::{Field, Head};
use super::limits::HeadLimits;
use super::token::{token, tokens};
use super::{accept, names, uri};
use crate::deflate::Agreement;

/// A valid upgrade request, borrowed from its head.
#[derive(Clone)]
pub struct Request<'a> {
    head: Head<'a>,
    connection: Connection<'a>,
    target: &'a str,
    host: &'a str,
    origin: Option<&'a str>,
    key: &'a str,
    subprotocols: Vec<&'a str>,
    extensions: Vec<Extension<'a>>,
}

impl<'a> Request<'a> {
    /// Reads exactly one head: what [`super::HeadScanner::head_end`] found, from the first byte to the empty line.
    ///
    /// # Errors
    /// The first fault, with the status that the client should get.
    pub fn parse(head: &'a [u8], limits: HeadLimits) -> Result<Self, HandshakeError> {
        let head = Head::parse(head, limits)?;
        let target = request_line(head.start_line)?;
        refuse_ambiguity(&head)?;
        refuse_body(&head)?;
        let connection = upgrade(&head)?;
        let host = head.single("host")?.ok_or(HandshakeError::HostMissing)?;
        if !uri::is_host(host) {
            return Err(HandshakeError::HostInvalid);
        }
        let origin = head.single("origin")?;
        if !origin.is_none_or(uri::is_origin) {
            return Err(HandshakeError::OriginInvalid);
        }
        let key = head.single("sec-websocket-key")?.ok_or(HandshakeError::KeyMissing)?;
        if !accept::is_key(key) {
            return Err(HandshakeError::KeyInvalid);
        }
        let subprotocols = subprotocols(&head).ok_or(HandshakeError::SubprotocolSyntax)?;
        let extensions = Extension::list(head.values("sec-websocket-extensions"))
            .ok_or(HandshakeError::ExtensionSyntax)?;
        Ok(Self { head, connection, target, host, origin, key, subprotocols, extensions })
    }

    /// The request target: path and query. The query may carry secrets; log [`Request::path`].
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The target without its query, percent-encoding as received, free of dot segments.
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    /// The host with its port, if it has one, in the client's own case.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// One origin, or `null`, as received.
    pub fn origin(&self) -> Option<&'a str> {
        self.origin
    }

    /// The client's key: base64 of 16 bytes.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// The offered subprotocols in the client's order of preference; each is a token and stands once.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> {
        self.subprotocols.iter().copied()
    }

    /// The names of the offered extensions in the client's order; a name may stand several times.
    pub fn extensions(&self) -> impl Iterator<Item = &'a str> {
        self.extensions.iter().map(Extension::name)
    }

    /// True if permessage-deflate (RFC 7692) is among the offers.
    pub fn offers_compression(&self) -> bool {
        self.extensions().any(|name| name.eq_ignore_ascii_case("permessage-deflate"))
    }

    /// What we agree on, as a server, with a client that offers permessage-deflate: the first offer that can be accepted.
    pub fn compression(&self) -> Option<Agreement> {
        self.extensions.iter().find_map(Agreement::accept)
    }

    /// All header fields in order, hop-by-hop ones included.
    pub fn headers(&self) -> impl Iterator<Item = Field<'a>> {
        self.head.fields.iter().copied()
    }

    /// The fields to pass on beside those that are written anew.
    pub(super) fn end_to_end(&self) -> impl Iterator<Item = &Field<'a>> {
        self.connection.end_to_end(&self.head)
    }
}

/// Path and header names only: what is printed reaches logs.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("path", &self.path())
            .field("headers", &self.head)
            .finish_non_exhaustive()
    }
}

fn request_line(line: &[u8]) -> Result<&str, HandshakeError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HandshakeError::StartLine);
    };
    match token(method) {
        Some("GET") => {}
        Some(_) => return Err(HandshakeError::MethodNotGet),
        None => return Err(HandshakeError::StartLine),
    }
    if version != b"HTTP/1.1" {
        return Err(HandshakeError::HttpVersion);
    }
    uri::target(target)
}

fn refuse_ambiguity(head: &Head<'_>) -> Result<(), HandshakeError> {
    if head.fields.iter().any(|field| names::is_alias(field.name)) {
        return Err(HandshakeError::AliasedHeader);
    }
    if names::SINGLE.iter().any(|name| head.values(name).nth(1).is_some()) {
        return Err(HandshakeError::DuplicateHeader);
    }
    Ok(())
}

/// A body would be read as frames by one end and as a body by the other.
fn refuse_body(head: &Head<'_>) -> Result<(), HandshakeError> {
    let announced = ["transfer-encoding", "trailer", "expect"].iter().any(|name| head.has(name));
    if announced || head.values("content-length").any(|length| length != b"0") {
        return Err(HandshakeError::BodyNotAllowed);
    }
    Ok(())
}

fn upgrade<'a>(head: &Head<'a>) -> Result<Connection<'a>, HandshakeError> {
    if !upgrades_to_websocket(head)? {
        return Err(HandshakeError::NotAnUpgrade);
    }
    let connection = Connection::parse(head)?;
    if !connection.asks_upgrade() {
        return Err(HandshakeError::ConnectionWithoutUpgrade);
    }
    if head.single("sec-websocket-version")? != Some("13") {
        return Err(HandshakeError::VersionUnsupported);
    }
    Ok(connection)
}

fn subprotocols<'a>(head: &Head<'a>) -> Option<Vec<&'a str>> {
    let list = tokens(head.values("sec-websocket-protocol"))?;
    let repeated = list.iter().enumerate().any(|(index, name)| list[..index].contains(name));
    (!repeated).then_some(list)
}
