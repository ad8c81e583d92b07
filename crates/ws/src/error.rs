//! What a peer can do wrong on the wire, and the one function that turns it into a close code.

use crate::close::CloseCode;

/// A violation of RFC 6455 or RFC 7692 by the sender of a frame. The variants are fieldless: [`ProtocolError::name`] is a metric
/// label and a rule name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ProtocolError {
    #[error("close frame with a status code that may not be sent (section 7.4)")]
    CloseCode,
    #[error("close frame with a body of one byte (section 5.5.1)")]
    CloseLength,
    #[error("close frame whose reason is not UTF-8 (section 5.5.1)")]
    CloseReasonUtf8,
    #[error("fragmented control frame (section 5.5)")]
    ControlFragmented,
    #[error("control frame with more than 125 bytes of payload (section 5.5)")]
    ControlTooLong,
    #[error("frame larger than the limit")]
    FrameTooBig,
    #[error("compressed message that inflates further than the limit")]
    InflateRatio,
    #[error("compressed message that is no deflate stream (RFC 7692 section 7.2.2)")]
    InvalidDeflate,
    #[error("text message that is not UTF-8 (section 8.1)")]
    InvalidUtf8,
    #[error("payload length not in its shortest form, or with its highest bit set (section 5.2)")]
    LengthEncoding,
    #[error("masked frame from a server (section 5.1)")]
    MaskedByServer,
    #[error("message larger than the limit")]
    MessageTooBig,
    #[error("new message before the last one was finished (section 5.4)")]
    NestedMessage,
    #[error("continuation frame without a message to continue (section 5.4)")]
    OrphanContinuation,
    #[error("reserved opcode (section 5.2)")]
    ReservedOpcode,
    #[error("reserved bit set without an extension that defines it (section 5.2)")]
    ReservedBits,
    #[error("message in more fragments than the limit")]
    TooManyFragments,
    #[error("unmasked frame from a client (section 5.1)")]
    UnmaskedByClient,
}

impl ProtocolError {
    pub const ALL: [Self; 18] = [
        Self::CloseCode,
        Self::CloseLength,
        Self::CloseReasonUtf8,
        Self::ControlFragmented,
        Self::ControlTooLong,
        Self::FrameTooBig,
        Self::InflateRatio,
        Self::InvalidDeflate,
        Self::InvalidUtf8,
        Self::LengthEncoding,
        Self::MaskedByServer,
        Self::MessageTooBig,
        Self::NestedMessage,
        Self::OrphanContinuation,
        Self::ReservedOpcode,
        Self::ReservedBits,
        Self::TooManyFragments,
        Self::UnmaskedByClient,
    ];

    /// The close code that the sender of the fault is told: the only place where a fault becomes a code.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::InvalidDeflate | Self::InvalidUtf8 | Self::CloseReasonUtf8 => CloseCode::INVALID_PAYLOAD,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::MESSAGE_TOO_BIG,
            // Limits of shape, not of size.
            Self::InflateRatio | Self::TooManyFragments => CloseCode::POLICY_VIOLATION,
            Self::CloseCode
            | Self::CloseLength
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::LengthEncoding
            | Self::MaskedByServer
            | Self::NestedMessage
            | Self::OrphanContinuation
            | Self::ReservedOpcode
            | Self::ReservedBits
            | Self::UnmaskedByClient => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// A stable name: metric label and rule name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CloseCode => "close-code",
            Self::CloseLength => "close-length",
            Self::CloseReasonUtf8 => "close-reason-utf8",
            Self::ControlFragmented => "control-fragmented",
            Self::ControlTooLong => "control-too-long",
            Self::FrameTooBig => "frame-too-big",
            Self::InflateRatio => "inflate-ratio",
            Self::InvalidDeflate => "invalid-deflate",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::LengthEncoding => "length-encoding",
            Self::MaskedByServer => "masked-by-server",
            Self::MessageTooBig => "message-too-big",
            Self::NestedMessage => "nested-message",
            Self::OrphanContinuation => "orphan-continuation",
            Self::ReservedOpcode => "reserved-opcode",
            Self::ReservedBits => "reserved-bits",
            Self::TooManyFragments => "too-many-fragments",
            Self::UnmaskedByClient => "unmasked-by-client",
        }
    }
}
