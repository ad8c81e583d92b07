//! Routes and policies together: one immutable snapshot.

use std::{borrow::Cow, path::PathBuf};

use crate::{
    ContentFilter, EventSet, FailureMode, HandshakeRules, Limits, Mode, RateLimit, Rewrite, StateRule,
    Validation, Violations,
};

/// A place in [`Ruleset::policies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PolicyId(pub usize);

/// A place in the configured upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// What is asked of the connections of a route: an `agent` block of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub name: String,
    /// Where a Sentinel proxy reaches this policy.
    pub transport: Option<Transport>,
    /// Which events go to the audit stream; verdicts other than allow always do.
    pub events: EventSet,
    /// Budget for one message's inspection.
    pub timeout_ms: u64,
    pub failure_mode: FailureMode,
    pub mode: Mode,
    pub handshake: HandshakeRules,
    pub limits: Limits,
    pub validations: Vec<Validation>,
    pub rate_limits: Vec<RateLimit>,
    pub violations: Option<Violations>,
    pub states: Vec<StateRule>,
    pub content_filters: Vec<ContentFilter>,
    pub rewrites: Vec<Rewrite>,
}

impl Policy {
    pub const TIMEOUT_MS_DEFAULT: u64 = 50;
}

/// A unix socket at which a Sentinel proxy asks for verdicts (`transport "unix_socket"`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    pub path: PathBuf,
    /// Permission bits of the socket's file.
    pub mode: u32,
    /// WebSockets that are known at once; beyond it the one that was silent longest is forgotten.
    pub sessions_max: usize,
    /// The longest that one WebSocket may live; `None`: as long as it is not idle.
    pub age_max_s: Option<u64>,
}

impl Transport {
    pub const MODE_DEFAULT: u32 = 0o660;
    pub const SESSIONS_MAX_DEFAULT: usize = 65_536;
}

/// Chooses upstream and policy by path and, where set, host. The first match of a listener's routes wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// An exact path, or a prefix when it ends in `*`.
    pub path: String,
    /// Compared without case and port.
    pub host: Option<String>,
    pub upstream: UpstreamId,
    pub policy: PolicyId,
}

impl Route {
    /// Whether `path` (without its query) at `host` (as in the Host header) takes this route. Spellings that servers read as the
    /// same path take the same route; letters in paths keep their case.
    pub fn matches(&self, host: &str, path: &str) -> bool {
        let (own, path) = (canonical(&self.path), canonical(path));
        let path_matches = match own.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == own,
        };
        let host = without_port(host);
        let host = host.strip_suffix('.').unwrap_or(host);
        path_matches && self.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host))
    }
}

/// The policies and, for each listener, its routes.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    pub policies: Vec<Policy>,
    /// One list a listener, in the order of the configured listeners.
    pub routes: Vec<Vec<Route>>,
}

/// The path with its visible characters decoded, a slash too, as many frameworks hand it to an application, without empty segments
/// and without parameters (`;...`), so that a stricter route can't be avoided by spelling.
fn canonical(path: &str) -> Cow<'_, str> {
    if !path.contains(['%', ';']) && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let decoded = decode_visible(path);
    let mut segments: Vec<_> =
        decoded.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    let ends_in_slash = segments.last().is_some_and(|last| last.is_empty());
    segments.retain(|segment| !segment.is_empty());
    let mut out = format!("/{}", segments.join("/"));
    if ends_in_slash && out.len() > 1 {
        out.push('/');
    }
    Cow::Owned(out)
}

fn decode_visible(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let code = rest.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let plain = code.map(char::from).filter(|one| one.is_ascii_graphic() && !"%;?#\\".contains(*one));
        let size = match plain {
            Some(one) => {
                out.push(one);
                3
            }
            None => {
                out.push('%');
                1
            }
        };
        rest = &rest[at + size..];
    }
    out + rest
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        // In "[::1]" the last colon belongs to the address.
        Some(at) if !host[at..].contains(']') => &host[..at],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(path: &str, host: Option<&str>) -> Route {
        Route { path: path.into(), host: host.map(Into::into), upstream: UpstreamId(0), policy: PolicyId(0) }
    }

    #[test]
    fn first_match_by_path_and_host() {
        assert!(route("/*", None).matches("any", "/chat"));
        assert!(route("/chat", None).matches("any", "/chat"));
        assert!(!route("/chat", None).matches("any", "/chat/1"));
        assert!(route("/chat/*", Some("a.example")).matches("A.example:8080", "/chat/1"));
        assert!(!route("/chat/*", Some("a.example")).matches("b.example", "/chat/1"));
        assert!(route("/*", Some("[::1]")).matches("[::1]:80", "/"));
        assert!(route("/*", Some("[::1]")).matches("[::1]", "/"));
        assert!(route("/*", Some("a.example")).matches("a.example.:80", "/"));
    }

    #[test]
    fn spellings_of_a_path_take_its_route() {
        for spelling in [
            "/admin",
            "/%61dmin",
            "//admin",
            "/;x/admin",
            "/admin;v=1",
            "/%61%64min",
            "%2fadmin",
            "/%2Fadmin",
        ] {
            assert!(route("/admin", None).matches("any", spelling), "{spelling}");
            assert!(route("/admin*", None).matches("any", spelling), "{spelling}");
        }
        for spelling in ["/admin/x", "/admin%2fx", "/admin%2F%2Fx", "/%61dmin%2F/x", "/admin;v=1%2fy/x"] {
            assert!(route("/admin/*", None).matches("any", spelling), "{spelling}");
        }
        assert!(route("/a%2Fb:c", None).matches("any", "/a%2fb%3Ac"));
        for other in ["/Admin", "/admin/", "/x/admin", "/%2561dmin", "/%admin", "/%"] {
            assert!(!route("/admin", None).matches("any", other), "{other}");
        }
        assert!(route("/é%20b", None).matches("any", "/é%20b"));
    }
}
