//! A head taken apart: a start line and header fields (RFC 9112 sections 2.1 and 5).

use std::fmt;

use super::error::HandshakeError;
use super::limits::HeadLimits;
use super::scanner::HeadScanner;
use super::token::{token, trim};
use crate::frame::Role;

/// One header field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// A token, in the sender's own case.
    pub name: &'a str,
    /// Visible ASCII, SP, HTAB and bytes from 0x80; no white space at the ends.
    pub value: &'a [u8],
}

/// A head whose lines and fields are well-formed; what they mean is not judged here.
#[derive(Clone)]
pub(super) struct Head<'a> {
    pub start_line: &'a [u8],
    pub fields: Vec<Field<'a>>,
}

impl<'a> Head<'a> {
    /// Takes apart exactly one head. The faults are those of a request; see [`HandshakeError::of_upstream`].
    pub fn parse(head: &'a [u8], limits: HeadLimits) -> Result<Self, HandshakeError> {
        if HeadScanner::new(Role::Client, limits).head_end(head)? != Some(head.len()) {
            return Err(HandshakeError::Incomplete);
        }
        // The scanner saw to it that every CR and LF here is part of a CRLF, and that no line is empty but the last.
        let lines = head.strip_suffix(b"\r\n\r\n").ok_or(HandshakeError::Incomplete)?;
        let mut lines =
            lines.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start_line = lines.next().ok_or(HandshakeError::Incomplete)?;
        let fields = lines.map(field).collect::<Result<_, _>>()?;
        Ok(Self { start_line, fields })
    }

    /// The values of all fields of this name, in order.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The value of a field that may stand only once and is interpreted here, so that only ASCII will do.
    pub fn single(&self, name: &str) -> Result<Option<&'a str>, HandshakeError> {
        let mut values = self.values(name);
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HandshakeError::DuplicateHeader);
        }
        if !value.is_ascii() {
            return Err(HandshakeError::HeaderValue);
        }
        str::from_utf8(value).map(Some).map_err(|_| HandshakeError::HeaderValue)
    }
}

/// A byte of a field value or a reason phrase: no control character but HTAB (RFC 9110 section 5.5).
pub(super) const fn is_text_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

fn field(line: &[u8]) -> Result<Field<'_>, HandshakeError> {
    if let [b' ' | b'\t', ..] = line {
        return Err(HandshakeError::HeaderFolded);
    }
    let colon = memchr::memchr(b':', line).ok_or(HandshakeError::HeaderName)?;
    // White space before the colon is no token either.
    let name = token(&line[..colon]).ok_or(HandshakeError::HeaderName)?;
    let value = trim(&line[colon + 1..]);
    if !value.iter().all(|byte| is_text_byte(*byte)) {
        return Err(HandshakeError::HeaderValue);
    }
    Ok(Field { name, value })
}

/// The names only: a query or a value may be a secret, and what is printed reaches logs.
impl fmt::Debug for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.fields).finish()
    }
}

/// The name only: a value may be a secret, and what is printed reaches logs.
impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}
