//! The `Connection` and `Upgrade` fields, alike in both heads (RFC 9110 sections 7.6.1 and 7.8).

use super::error::HandshakeError;
use super::head::{Field, Head};
use super::names;
use super::token::tokens;

/// The options of all `Connection` fields of a head.
#[derive(Clone, Debug)]
pub(super) struct Connection<'a>(Vec<&'a str>);

impl<'a> Connection<'a> {
    /// # Errors
    /// [`HandshakeError::ConnectionSyntax`] if it is no list of tokens, [`HandshakeError::ConnectionNomination`] if
    /// it nominates a field whose removal would change what the head means.
    pub fn parse(head: &Head<'a>) -> Result<Self, HandshakeError> {
        let options = tokens(head.values("connection")).ok_or(HandshakeError::ConnectionSyntax)?;
        if options.iter().any(|option| names::is_protected(option)) {
            return Err(HandshakeError::ConnectionNomination);
        }
        Ok(Self(options))
    }

    pub fn asks_upgrade(&self) -> bool {
        self.has("upgrade")
    }

    /// The fields that an intermediary passes on: neither hop-by-hop nor nominated as such.
    pub fn end_to_end<'h>(&'h self, head: &'h Head<'a>) -> impl Iterator<Item = &'h Field<'a>> {
        head.fields.iter().filter(|field| !names::is_hop_by_hop(field.name) && !self.has(field.name))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|option| option.eq_ignore_ascii_case(name))
    }
}

/// True if the head upgrades to WebSocket, and to nothing else beside it.
pub(super) fn upgrades_to_websocket(head: &Head<'_>) -> Result<bool, HandshakeError> {
    Ok(head.single("upgrade")?.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket")))
}
