//! What a head can do wrong, and the status that says so.

/// A fault of an upgrade request, or of the upstream's answer to ours. The variants are fieldless:
/// [`HandshakeError::name`] is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HandshakeError {
    #[error(
        "header name that gateways take for another one that matters; write it with '-' (RFC 9110 section 5.1)"
    )]
    AliasedHeader,
    #[error(
        "upgrade request that announces a body; send no Content-Length, Transfer-Encoding, Trailer or Expect"
    )]
    BodyNotAllowed,
    #[error(
        "Connection header that nominates a field which must reach the other end (RFC 9110 section 7.6.1)"
    )]
    ConnectionNomination,
    #[error("Connection header that is no list of tokens (RFC 9110 section 7.6.1)")]
    ConnectionSyntax,
    #[error("Connection header without the option Upgrade (RFC 6455 section 4.2.1)")]
    ConnectionWithoutUpgrade,
    #[error("NUL in a head; is this a TLS or binary client on a plain HTTP port?")]
    ControlByte,
    #[error("header that may stand only once stands twice")]
    DuplicateHeader,
    #[error("Sec-WebSocket-Extensions that does not follow RFC 6455 section 9.1, or is too long")]
    ExtensionSyntax,
    #[error("request head larger than the limit")]
    HeadTooLarge,
    #[error("header line that starts with white space (RFC 9112 section 5.2)")]
    HeaderFolded,
    #[error("header line without a token and a colon in front (RFC 9112 section 5.1)")]
    HeaderName,
    #[error("header value with a byte that may not stand there (RFC 9110 section 5.5)")]
    HeaderValue,
    #[error("Host header that is no host with an optional port (RFC 9110 section 7.2)")]
    HostInvalid,
    #[error("request without a Host header (RFC 9112 section 3.2)")]
    HostMissing,
    #[error("HTTP version other than 1.1 (RFC 6455 section 4.1)")]
    HttpVersion,
    #[error("head that does not end where the given bytes end")]
    Incomplete,
    #[error("Sec-WebSocket-Key that is not the base64 of 16 bytes (RFC 6455 section 4.1)")]
    KeyInvalid,
    #[error("request without a Sec-WebSocket-Key (RFC 6455 section 4.1)")]
    KeyMissing,
    #[error("line end other than CRLF (RFC 9112 section 2.2)")]
    LineEnd,
    #[error("method other than GET (RFC 6455 section 4.1)")]
    MethodNotGet,
    #[error("request that does not ask for an upgrade to websocket and nothing else; use a WebSocket client")]
    NotAnUpgrade,
    #[error("Origin header that is neither one origin nor null (RFC 6454 section 7)")]
    OriginInvalid,
    #[error("start line that is no request line (RFC 9112 section 3)")]
    StartLine,
    #[error(
        "Sec-WebSocket-Protocol that is no list of different tokens, or is too long (RFC 6455 section 4.1)"
    )]
    SubprotocolSyntax,
    #[error("request target that is no plain path and query (RFC 9112 section 3.2.1)")]
    TargetInvalid,
    #[error("request target longer than the limit")]
    TargetTooLong,
    #[error("more header fields than the limit")]
    TooManyHeaders,
    #[error("upstream's Sec-WebSocket-Accept is missing or does not answer the key (RFC 6455 section 4.1)")]
    UpstreamAccept,
    #[error("upstream's 101 announces a body")]
    UpstreamBody,
    #[error("upstream's Connection header is wrong, or lacks Upgrade in a 101 (RFC 6455 section 4.1)")]
    UpstreamConnection,
    #[error("upstream's 101 has a header twice that may stand only once")]
    UpstreamDuplicateHeader,
    #[error(
        "upstream's 101 accepts an extension that was not offered, or not as it was (RFC 6455 section 4.1)"
    )]
    UpstreamExtension,
    #[error(
        "upstream's answer is no well-formed HTTP/1.1 head; does the upstream speak plain HTTP on this port?"
    )]
    UpstreamHead,
    #[error("upstream's head is larger than the limit")]
    UpstreamHeadTooLarge,
    #[error("upstream sent an interim answer (1xx other than 101)")]
    UpstreamInterim,
    #[error("upstream neither upgraded nor refused; does its address and path lead to a WebSocket server?")]
    UpstreamStatus,
    #[error("upstream's 101 selects a subprotocol that was not offered (RFC 6455 section 4.1)")]
    UpstreamSubprotocol,
    #[error("upstream's 101 does not upgrade to websocket (RFC 6455 section 4.1)")]
    UpstreamUpgrade,
    #[error("Sec-WebSocket-Version missing or other than 13 (RFC 6455 section 4.4)")]
    VersionUnsupported,
}

impl HandshakeError {
    pub const ALL: [Self; 39] = [
        Self::AliasedHeader,
        Self::BodyNotAllowed,
        Self::ConnectionNomination,
        Self::ConnectionSyntax,
        Self::ConnectionWithoutUpgrade,
        Self::ControlByte,
        Self::DuplicateHeader,
        Self::ExtensionSyntax,
        Self::HeadTooLarge,
        Self::HeaderFolded,
        Self::HeaderName,
        Self::HeaderValue,
        Self::HostInvalid,
        Self::HostMissing,
        Self::HttpVersion,
        Self::Incomplete,
        Self::KeyInvalid,
        Self::KeyMissing,
        Self::LineEnd,
        Self::MethodNotGet,
        Self::NotAnUpgrade,
        Self::OriginInvalid,
        Self::StartLine,
        Self::SubprotocolSyntax,
        Self::TargetInvalid,
        Self::TargetTooLong,
        Self::TooManyHeaders,
        Self::UpstreamAccept,
        Self::UpstreamBody,
        Self::UpstreamConnection,
        Self::UpstreamDuplicateHeader,
        Self::UpstreamExtension,
        Self::UpstreamHead,
        Self::UpstreamHeadTooLarge,
        Self::UpstreamInterim,
        Self::UpstreamStatus,
        Self::UpstreamSubprotocol,
        Self::UpstreamUpgrade,
        Self::VersionUnsupported,
    ];

    /// The status that the client is told: 502 for a fault of the upstream, otherwise its own.
    pub const fn status(self) -> u16 {
        match self {
            // RFC 6455 section 4.2.2: an origin that is not acceptable.
            Self::OriginInvalid => 403,
            Self::MethodNotGet => 405,
            Self::TargetTooLong => 414,
            Self::NotAnUpgrade | Self::VersionUnsupported => 426,
            Self::HeadTooLarge | Self::TooManyHeaders => 431,
            Self::UpstreamAccept
            | Self::UpstreamBody
            | Self::UpstreamConnection
            | Self::UpstreamDuplicateHeader
            | Self::UpstreamExtension
            | Self::UpstreamHead
            | Self::UpstreamHeadTooLarge
            | Self::UpstreamInterim
            | Self::UpstreamStatus
            | Self::UpstreamSubprotocol
            | Self::UpstreamUpgrade => 502,
            Self::AliasedHeader
            | Self::BodyNotAllowed
            | Self::ConnectionNomination
            | Self::ConnectionSyntax
            | Self::ConnectionWithoutUpgrade
            | Self::ControlByte
            | Self::DuplicateHeader
            | Self::ExtensionSyntax
            | Self::HeaderFolded
            | Self::HeaderName
            | Self::HeaderValue
            | Self::HostInvalid
            | Self::HostMissing
            | Self::HttpVersion
            | Self::Incomplete
            | Self::KeyInvalid
            | Self::KeyMissing
            | Self::LineEnd
            | Self::StartLine
            | Self::SubprotocolSyntax
            | Self::TargetInvalid => 400,
        }
    }

    /// The header fields that this status must have (RFC 9110 sections 15.5.6 and 15.5.22, RFC 6455 section 4.4).
    pub const fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self.status() {
            405 => &[("Allow", "GET")],
            426 => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
            _ => &[],
        }
    }

    /// A stable name: metric label and rule name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AliasedHeader => "aliased-header",
            Self::BodyNotAllowed => "body-not-allowed",
            Self::ConnectionNomination => "connection-nomination",
            Self::ConnectionSyntax => "connection-syntax",
            Self::ConnectionWithoutUpgrade => "connection-without-upgrade",
            Self::ControlByte => "control-byte",
            Self::DuplicateHeader => "duplicate-header",
            Self::ExtensionSyntax => "extension-syntax",
            Self::HeadTooLarge => "head-too-large",
            Self::HeaderFolded => "header-folded",
            Self::HeaderName => "header-name",
            Self::HeaderValue => "header-value",
            Self::HostInvalid => "host-invalid",
            Self::HostMissing => "host-missing",
            Self::HttpVersion => "http-version",
            Self::Incomplete => "incomplete",
            Self::KeyInvalid => "key-invalid",
            Self::KeyMissing => "key-missing",
            Self::LineEnd => "line-end",
            Self::MethodNotGet => "method-not-get",
            Self::NotAnUpgrade => "not-an-upgrade",
            Self::OriginInvalid => "origin-invalid",
            Self::StartLine => "start-line",
            Self::SubprotocolSyntax => "subprotocol-syntax",
            Self::TargetInvalid => "target-invalid",
            Self::TargetTooLong => "target-too-long",
            Self::TooManyHeaders => "too-many-headers",
            Self::UpstreamAccept => "upstream-accept",
            Self::UpstreamBody => "upstream-body",
            Self::UpstreamConnection => "upstream-connection",
            Self::UpstreamDuplicateHeader => "upstream-duplicate-header",
            Self::UpstreamExtension => "upstream-extension",
            Self::UpstreamHead => "upstream-head",
            Self::UpstreamHeadTooLarge => "upstream-head-too-large",
            Self::UpstreamInterim => "upstream-interim",
            Self::UpstreamStatus => "upstream-status",
            Self::UpstreamSubprotocol => "upstream-subprotocol",
            Self::UpstreamUpgrade => "upstream-upgrade",
            Self::VersionUnsupported => "version-unsupported",
        }
    }

    /// The same fault, found in a head of the upstream.
    pub(super) const fn of_upstream(self) -> Self {
        match self {
            Self::DuplicateHeader => Self::UpstreamDuplicateHeader,
            Self::HeadTooLarge | Self::TooManyHeaders => Self::UpstreamHeadTooLarge,
            Self::ConnectionNomination | Self::ConnectionSyntax | Self::ConnectionWithoutUpgrade => {
                Self::UpstreamConnection
            }
            upstream if upstream.status() == 502 => upstream,
            _ => Self::UpstreamHead,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_complete_and_names_differ() {
        for (index, error) in HandshakeError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, index, "ALL is in the order of the variants");
            let upstream = error.name().starts_with("upstream-");
            assert_eq!(upstream, error.status() == 502, "{error:?}");
            assert_eq!(error.of_upstream().status(), 502);
        }
        let names: std::collections::BTreeSet<_> = HandshakeError::ALL.map(HandshakeError::name).into();
        assert_eq!(names.len(), HandshakeError::ALL.len());
    }
}
