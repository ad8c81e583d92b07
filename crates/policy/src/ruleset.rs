//! Routes and policies together: one immutable snapshot.

use std::path::PathBuf;

use crate::{ContentFilter, EventSet, FailureMode, HandshakeRules, Limits, Mode, RateLimit, Validation};

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
    /// Where a Sentinel proxy would reach this policy (`transport "unix_socket"`).
    pub socket_path: Option<PathBuf>,
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
    pub content_filters: Vec<ContentFilter>,
}

impl Policy {
    pub const TIMEOUT_MS_DEFAULT: u64 = 50;
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
    /// Whether `path` (without its query) at `host` (as in the Host header) takes this route.
    pub fn matches(&self, host: &str, path: &str) -> bool {
        let path_matches = match self.path.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == self.path,
        };
        path_matches && self.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(without_port(host)))
    }
}

/// The policies and, for each listener, its routes.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    pub policies: Vec<Policy>,
    /// One list a listener, in the order of the configured listeners.
    pub routes: Vec<Vec<Route>>,
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
    }
}
