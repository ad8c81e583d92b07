//! Request targets, hosts and origins: only the forms that every parser reads alike.

use core::net::Ipv6Addr;

use super::error::HandshakeError;
use super::limits::TARGET_SIZE_MAX;

/// A request target in origin form (RFC 9112 section 3.2.1).
///
/// Refused beside what the grammar refuses: `\` and dot segments in the path, also percent-encoded. Browsers resolve
/// them before they send; some servers resolve them after a proxy has chosen a route by the path.
pub(super) fn target(bytes: &[u8]) -> Result<&str, HandshakeError> {
    if bytes.len() > TARGET_SIZE_MAX {
        return Err(HandshakeError::TargetTooLong);
    }
    let path = bytes.split(|byte| *byte == b'?').next().unwrap_or_default();
    let visible =
        bytes.iter().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>'));
    if !visible || !path.starts_with(b"/") || path.contains(&b'\\') || has_dot_segment(path) {
        return Err(HandshakeError::TargetInvalid);
    }
    str::from_utf8(bytes).map_err(|_| HandshakeError::TargetInvalid)
}

/// A host and an optional port (RFC 9110 section 7.2): a name of letters, digits, `-`, `.` and `_`, an IPv4
/// address, or an IPv6 address in brackets.
pub(super) fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        let Some((address, rest)) = rest.split_once(']') else { return false };
        let port_valid = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().is_ok() && port_valid;
    }
    let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
    let name_valid =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
    !name.is_empty() && name_valid && port.is_none_or(is_port)
}

/// `null`, or one scheme and authority without user information or path (RFC 6454 section 7).
pub(super) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return text == "null" };
    let scheme_valid =
        scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let authority_valid = authority.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'{' | b'}')
    });
    scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme_valid && authority_valid
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// True if a segment is `.` or `..` once decoded. `;` ends a segment too: some servers cut off what follows it.
fn has_dot_segment(mut path: &[u8]) -> bool {
    // None: the segment has something else than dots.
    let mut dots = Some(0);
    while let Some((byte, size)) = decode(path) {
        path = &path[size..];
        match byte {
            b'.' => dots = dots.map(|count| count + 1),
            b'/' | b'\\' | b';' if matches!(dots, Some(1 | 2)) => return true,
            b'/' | b'\\' => dots = Some(0),
            _ => dots = None,
        }
    }
    matches!(dots, Some(1 | 2))
}

/// The first byte of a path, percent-decoded, and how many bytes it takes.
fn decode(path: &[u8]) -> Option<(u8, usize)> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    if let [b'%', high, low, ..] = path
        && let (Some(high), Some(low)) = (hex(*high), hex(*low))
    {
        return Some((high << 4 | low, 3));
    }
    path.first().map(|byte| (*byte, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for good in [
            "/",
            "//a",
            "/?",
            "/a?b=c&d=%22",
            "/a/...?x=../..",
            "/.well-known/x",
            "/a..b",
            "/%zz",
            "/%2",
            "/a;b=.",
            "/x?{}|\\^",
            "/a%2fb",
        ] {
            assert_eq!(target(good.as_bytes()), Ok(good));
        }
        for bad in [
            "",
            "a",
            "*",
            "http://a/",
            "a:80",
            "?",
            "/#",
            "/a#b",
            "/a?b#c",
            "/ä",
            "/a b",
            "/a\tb",
            "/\u{7f}",
            "/a\\b",
            "/..",
            "/.",
            "/a/../b",
            "/a/./b",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/..;x/b",
            "/a/..%2fb",
            "/a%5c..%5cb",
            "/<",
        ] {
            assert_eq!(target(bad.as_bytes()), Err(HandshakeError::TargetInvalid), "{bad:?}");
        }
        let long = "/".repeat(TARGET_SIZE_MAX);
        assert!(target(long.as_bytes()).is_ok());
        assert_eq!(target(format!("{long}/").as_bytes()), Err(HandshakeError::TargetTooLong));
    }

    #[test]
    fn hosts() {
        for good in ["a", "a.b:80", "my_host:65535", "127.0.0.1", "[::1]", "[2001:db8::1]:443", "xn--a.b."] {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:",
            "a:b",
            "a:65536",
            "a:+1",
            "a@b",
            "a b",
            "a,b",
            "a/b",
            "a\\b",
            "a?b",
            "::1",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]:",
            "[::1%25eth0]",
            "a:80:80",
            "http://a",
            "a\tb",
            "[a.b]",
        ] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    #[test]
    fn origins() {
        for good in [
            "null",
            "https://a.b",
            "http://localhost:8080",
            "https://[::1]:1",
            "chrome-extension://abc",
            "file://",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "a.b",
            "NULL",
            "null null",
            "https://a.b/",
            "https://a.b@c.d",
            "https://a, https://b",
            "https://a b",
            "https://a?b",
            "https://a#b",
            "https://a\\b",
            "://a",
            "1://a",
            "null, https://a",
            "https://a%00.b",
        ] {
            assert!(!is_origin(bad), "{bad:?}");
        }
    }
}
