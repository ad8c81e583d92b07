//! Close codes and close frame bodies (RFC 6455 sections 5.5.1 and 7.4).

use crate::error::ProtocolError;

/// A status code that may stand in a close frame on the wire (RFC 6455 section 7.4, and the IANA registry for
/// 1012 to 1014). 1005, 1006 and 1015 are reserved for local use and can't be constructed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(u16);

impl CloseCode {
    pub const NORMAL: Self = Self(1000);
    pub const GOING_AWAY: Self = Self(1001);
    pub const PROTOCOL_ERROR: Self = Self(1002);
    pub const UNSUPPORTED: Self = Self(1003);
    pub const INVALID_PAYLOAD: Self = Self(1007);
    pub const POLICY_VIOLATION: Self = Self(1008);
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// Not in the RFC but in the IANA registry that it founded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// The code, if it is one that an endpoint may send.
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

/// The body of a close frame, borrowed from it: nothing, or a code and a UTF-8 reason of at most 123 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosePayload<'a> {
    pub code: Option<CloseCode>,
    pub reason: &'a str,
}

impl<'a> ClosePayload<'a> {
    /// Reads the body of a close frame.
    ///
    /// # Errors
    /// [`ProtocolError::CloseLength`] for a body of one byte, [`ProtocolError::CloseCode`] for a code that may not be
    /// sent, [`ProtocolError::CloseReasonUtf8`] for a reason that is not UTF-8 (RFC 6455 section 5.5.1).
    pub fn parse(body: &'a [u8]) -> Result<Self, ProtocolError> {
        match body {
            [] => Ok(Self { code: None, reason: "" }),
            [_] => Err(ProtocolError::CloseLength),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                let code = CloseCode::new(code).ok_or(ProtocolError::CloseCode)?;
                let reason =
                    simdutf8::basic::from_utf8(reason).map_err(|_| ProtocolError::CloseReasonUtf8)?;
                Ok(Self { code: Some(code), reason })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_on_the_wire() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            assert_eq!(CloseCode::new(code), None, "{code}");
            assert_eq!(ClosePayload::parse(&u16::to_be_bytes(code)), Err(ProtocolError::CloseCode));
        }
        for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999] {
            assert_eq!(CloseCode::new(code).map(CloseCode::as_u16), Some(code));
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(ClosePayload::parse(b""), Ok(ClosePayload { code: None, reason: "" }));
        assert_eq!(ClosePayload::parse(b"\x03"), Err(ProtocolError::CloseLength));
        let parsed = ClosePayload::parse(b"\x03\xe8bye").unwrap();
        assert_eq!((parsed.code, parsed.reason), (Some(CloseCode::NORMAL), "bye"));
        assert_eq!(ClosePayload::parse(b"\x03\xe8\xff"), Err(ProtocolError::CloseReasonUtf8));
    }
}
