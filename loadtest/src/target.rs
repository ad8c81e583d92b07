//! Where the load goes.

use std::net::{SocketAddr, ToSocketAddrs};

use crate::Error;

/// A `ws://` URL, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub address: SocketAddr,
    /// As it stands in the URL, for the Host header.
    pub authority: String,
    pub path: String,
}

impl Target {
    /// Reads `ws://HOST[:PORT][/PATH]`; port 80 and path `/` are the defaults (RFC 6455 section 3).
    ///
    /// # Errors
    /// A URL of another form, or a name that does not resolve.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Options(format!("url \"{url}\" {why}; write ws://HOST:PORT/PATH"));
        let rest = url
            .strip_prefix("ws://")
            .ok_or_else(|| wrong("does not begin with ws:// (TLS is not supported)"))?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.is_empty() || path.bytes().any(|byte| !byte.is_ascii_graphic() || byte == b'#') {
            return Err(wrong("has no host, or a path with blanks or a fragment"));
        }
        let has_port = authority.rfind(':').is_some_and(|at| !authority[at..].contains(']'));
        let named = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let address = named.to_socket_addrs().ok().and_then(|mut all| all.next());
        Ok(Self {
            address: address.ok_or_else(|| wrong("has a host that does not resolve"))?,
            authority: authority.to_owned(),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, address, authority, path) in [
            ("ws://127.0.0.1:9001/a?b=c", "127.0.0.1:9001", "127.0.0.1:9001", "/a?b=c"),
            ("ws://127.0.0.1", "127.0.0.1:80", "127.0.0.1", "/"),
            ("ws://[::1]:8080/", "[::1]:8080", "[::1]:8080", "/"),
            ("ws://[::1]", "[::1]:80", "[::1]", "/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(target.address.to_string(), address);
            assert_eq!((target.authority.as_str(), target.path.as_str()), (authority, path));
        }
        for url in [
            "",
            "127.0.0.1:1",
            "http://127.0.0.1/",
            "wss://127.0.0.1/",
            "ws:///a",
            "ws://127.0.0.1:1/a b",
            "ws://127.0.0.1:x/",
        ] {
            assert!(matches!(Target::parse(url), Err(Error::Options(_))), "{url}");
        }
    }
}
