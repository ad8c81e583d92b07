//! What the names of header fields mean to an intermediary.
//!
//! Gateways in the manner of CGI turn all punctuation of a name into `_`, so to the program behind them `Content_Length`
//! is `Content-Length`. Names are therefore compared with punctuation folded, and a spelling that is not the real
//! one is an alias.

/// Fields that end at this hop (RFC 9110 section 7.6.1), and those that we write ourselves.
const HOP_BY_HOP: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "proxy-status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that a sender may not have removed by naming them in `Connection`, beside [`PROTECTED_PREFIXES`].
const PROTECTED: [&str; 16] = [
    "authorization",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "location",
    "origin",
    "set-cookie",
    "transfer-encoding",
    "true-client-ip",
    "via",
    "www-authenticate",
    "x-client-ip",
    "x-real-ip",
];
const PROTECTED_PREFIXES: [&str; 3] = ["sec-", "x-forwarded-", "cf-"];

/// Fields of a request that may stand only once, equal or not.
pub(super) const SINGLE: [&str; 12] = [
    "authorization",
    "content-length",
    "cookie",
    "host",
    "origin",
    "sec-websocket-key",
    "sec-websocket-version",
    "upgrade",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
];

/// True if the field is not passed on, however it is spelt.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.iter().any(|other| is_same(name, other)) || has_prefix(name, "sec-websocket-")
}

/// True if `Connection` may not nominate the field.
pub(super) fn is_protected(name: &str) -> bool {
    PROTECTED.iter().any(|other| is_same(name, other))
        || PROTECTED_PREFIXES.iter().any(|prefix| has_prefix(name, prefix))
}

/// True for a spelling that some parsers take for a field that matters here, and others do not.
pub(super) fn is_alias(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte == b'-' || byte.is_ascii_alphanumeric());
    !plain && (is_hop_by_hop(name) || is_protected(name))
}

fn is_same(name: &str, other: &str) -> bool {
    name.len() == other.len() && has_prefix(name, other)
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len() && name.bytes().map(fold).zip(prefix.bytes()).all(|(a, b)| a == b)
}

const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_by_hop() {
        for name in
            ["Connection", "TE", "transfer-ENCODING", "Sec-WebSocket-Foo", "Sec_WebSocket-Key", "Keep.Alive"]
        {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in ["Cookie", "Sec-Fetch-Mode", "TEA", "X-Upgrade", "Sec-WebSocket"] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn aliases() {
        for name in
            ["Content_Length", "sec_websocket_key", "X_Forwarded-For", "Transfer.Encoding", "Set~Cookie"]
        {
            assert!(is_alias(name), "{name}");
        }
        for name in ["Content-Length", "X_Custom", "Sec-WebSocket-Key", "a_b"] {
            assert!(!is_alias(name), "{name}");
        }
    }
}
