//! `/api/`: what is going on, as JSON, and what may be done about it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use hyper::{Method, StatusCode};
use ipnet::IpNet;
use serde_json::{Value, json};
use wsi_config::policy::Mode;
use wsi_dataplane::{ConnectionInfo, Control, Drainer, Filter, Reloader};
use wsi_telemetry::{Names, Percentiles, Timings};

use super::{Readiness, ReadinessCell, recent::Recent};
use crate::reload::Reload;

/// Connections, or records, that one answer lists.
const COUNT_DEFAULT: usize = 100;
const COUNT_MAX: usize = 10_000;

/// What answers are made of, and what they set going.
pub(crate) struct Api {
    pub control: Control,
    pub reloader: Reloader,
    pub drainer: Drainer,
    pub reload: Arc<Mutex<Reload>>,
    pub readiness: Arc<ReadinessCell>,
    pub names: Arc<Names>,
    pub recent: Recent,
    pub timings: Option<Arc<Timings>>,
    /// Whoever knows it may change things; `None`: nobody.
    pub token: Option<String>,
}

/// A request, as far as it matters here.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub method: &'a Method,
    /// Behind `/api/`.
    pub path: &'a str,
    pub query: &'a str,
    /// The value of Authorization.
    pub authorization: Option<&'a [u8]>,
}

/// A fault of the request: status and what to do.
type Fault = (StatusCode, String);

impl Api {
    /// It may wait for the shards, for seconds at most.
    pub fn answer(&self, asked: &Asked<'_>) -> (StatusCode, Value) {
        match self.try_answer(asked) {
            Ok(value) => (StatusCode::OK, value),
            Err((status, error)) => (status, json!({ "error": error })),
        }
    }

    /// Whether `authorization` has the token.
    pub fn is_authorized(&self, authorization: Option<&[u8]>) -> bool {
        self.authorize(authorization).is_ok()
    }

    fn try_answer(&self, asked: &Asked<'_>) -> Result<Value, Fault> {
        let query = parse_query(asked.query)?;
        let is_read = matches!(*asked.method, Method::GET | Method::HEAD);
        match (is_read, asked.path) {
            (true, "status") => Ok(self.status(asked.authorization)),
            (true, "connections") => self.connections(&query),
            (true, "events") => self.events(&query),
            (true, "reload" | "mode" | "drain" | "connections/close") => {
                Err((StatusCode::METHOD_NOT_ALLOWED, "use POST".into()))
            }
            (false, _) if *asked.method != Method::POST => {
                Err((StatusCode::METHOD_NOT_ALLOWED, "use GET to look, and POST to change something".into()))
            }
            (false, path @ ("reload" | "mode" | "drain" | "connections/close")) => {
                self.authorize(asked.authorization)?;
                match path {
                    "reload" => self.reload(),
                    "mode" => self.set_mode(&query),
                    "drain" => Ok(self.drain()),
                    _ => self.close(&query),
                }
            }
            _ => Err((
                StatusCode::NOT_FOUND,
                "there are GET status, connections and events, and POST connections/close, mode, reload and drain".into(),
            )),
        }
    }

    fn authorize(&self, authorization: Option<&[u8]>) -> Result<(), Fault> {
        let Some(token) = &self.token else {
            let text = "nothing can be changed here: the configuration has no admin { token-path }";
            return Err((StatusCode::FORBIDDEN, text.into()));
        };
        let given = authorization.and_then(|value| value.strip_prefix(b"Bearer ")).unwrap_or_default();
        if is_same(given, token.as_bytes()) {
            return Ok(());
        }
        Err((StatusCode::UNAUTHORIZED, "send the token: Authorization: Bearer ...".into()))
    }

    fn status(&self, authorization: Option<&[u8]>) -> Value {
        let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let policies: Vec<_> = reload
            .engines()
            .iter()
            .map(|engine| json!({ "name": engine.name(), "mode": name_of(engine.mode()) }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": match self.readiness.value() {
                Readiness::Starting => "starting",
                Readiness::Ready => "ready",
                Readiness::Draining => "draining",
            },
            "revision": reload.revision(),
            "can_change": self.token.is_some(),
            "authorized": self.is_authorized(authorization),
            "policies": policies,
            "listeners": self.names.listeners,
            "inspection": self.inspection(),
        })
    }

    /// What inspecting a message took since the start, the whole first.
    fn inspection(&self) -> Vec<Value> {
        let percentiles = self.timings.iter().flat_map(|timings| timings.percentiles());
        let show = |each: Percentiles| {
            json!({
                "stage": each.name,
                "timed": each.count,
                "p50_ns": each.p50_ns,
                "p99_ns": each.p99_ns,
                "p999_ns": each.p999_ns,
                "max_ns": each.max_ns,
            })
        };
        percentiles.map(show).collect()
    }

    fn connections(&self, query: &Query) -> Result<Value, Fault> {
        let count_max = count(query)?;
        let listing = self.control.list(self.filter(query)?, count_max).map_err(too_busy)?;
        let mut connections = listing.connections;
        connections.sort_unstable_by_key(|info| std::cmp::Reverse(info.totals.bytes.iter().sum::<u64>()));
        connections.truncate(count_max);
        let shown: Vec<_> = connections.iter().map(|info| self.show(info)).collect();
        Ok(json!({ "found": listing.found, "connections": shown }))
    }

    fn show(&self, info: &ConnectionInfo) -> Value {
        let client = match info.client.port() {
            0 => info.client.ip().to_string(),
            _ => info.client.to_string(),
        };
        json!({
            "id": format!("{:x}-{:x}", info.shard, info.connection),
            "client": client,
            "listener": self.names.listener(info.listener),
            "policy": info.policy.map(|policy| self.names.policy(policy)),
            "phase": info.phase,
            "age_s": info.age.as_secs(),
            "idle_s": info.idle.as_secs(),
            "messages_to_server": info.totals.messages[0],
            "messages_to_client": info.totals.messages[1],
            "bytes_to_server": info.totals.bytes[0],
            "bytes_to_client": info.totals.bytes[1],
        })
    }

    fn events(&self, query: &Query) -> Result<Value, Fault> {
        let since = match query.get("since") {
            Some(text) => text.parse().map_err(|_| bad("since", text, "a number"))?,
            None => 0,
        };
        let text = query.get("text").map_or("", String::as_str);
        let (lines, next) = self.recent.since(since, text, count(query)?);
        let events: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect();
        Ok(json!({ "next": next, "events": events }))
    }

    fn close(&self, query: &Query) -> Result<Value, Fault> {
        let named = ["id", "client", "policy", "listener", "all"];
        if !named.iter().any(|name| query.contains_key(*name)) {
            let text = "say which: id=, client=, policy=, listener=, or all=true";
            return Err((StatusCode::BAD_REQUEST, text.into()));
        }
        let closed = self.control.close(self.filter(query)?).map_err(too_busy)?;
        Ok(json!({ "closed": closed }))
    }

    fn set_mode(&self, query: &Query) -> Result<Value, Fault> {
        let mode = match query.get("mode").map(String::as_str) {
            Some("enforce") => Mode::Enforce,
            Some("detect") => Mode::Detect,
            _ => return Err((StatusCode::BAD_REQUEST, "say mode=enforce or mode=detect".into())),
        };
        let policy = query.get("policy").ok_or((StatusCode::BAD_REQUEST, "say which: policy=".to_owned()))?;
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        reload.set_mode(policy, mode, &self.reloader).map_err(unprocessable)?;
        Ok(json!({ "revision": reload.revision() }))
    }

    fn reload(&self) -> Result<Value, Fault> {
        let mut reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
        let done = reload.reload(&self.reloader).map_err(unprocessable)?;
        let warnings: Vec<_> = done.warnings.iter().map(ToString::to_string).collect();
        Ok(json!({ "revision": done.revision, "warnings": warnings, "not_before_a_restart": done.waits }))
    }

    fn drain(&self) -> Value {
        self.readiness.set(Readiness::Draining);
        self.drainer.drain();
        json!({ "state": "draining" })
    }

    fn filter(&self, query: &Query) -> Result<Filter, Fault> {
        let mut filter = Filter::default();
        if let Some(text) = query.get("id") {
            let parsed = text.split_once('-').and_then(|(shard, number)| {
                Some((u16::from_str_radix(shard, 16).ok()?, u64::from_str_radix(number, 16).ok()?))
            });
            filter.id = Some(parsed.ok_or_else(|| bad("id", text, "as in records, 0-17"))?);
        }
        if let Some(text) = query.get("client") {
            let parsed = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            filter.client = Some(parsed.map_err(|_| bad("client", text, "an address or a network"))?);
        }
        if let Some(text) = query.get("policy") {
            let reload = self.reload.lock().unwrap_or_else(PoisonError::into_inner);
            let found = reload.engines().iter().position(|engine| engine.name() == text);
            filter.policy = Some(place(found).ok_or_else(|| bad("policy", text, "an agent's name"))?);
        }
        if let Some(text) = query.get("listener") {
            let found = self.names.listeners.iter().position(|name| name == text);
            filter.listener = Some(place(found).ok_or_else(|| bad("listener", text, "a listener's name"))?);
        }
        Ok(filter)
    }
}

fn place(found: Option<usize>) -> Option<u16> {
    found.and_then(|found| u16::try_from(found).ok())
}

fn name_of(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Detect => "detect",
    }
}

fn count(query: &Query) -> Result<usize, Fault> {
    match query.get("limit") {
        None => Ok(COUNT_DEFAULT),
        Some(text) => match text.parse() {
            Ok(count) if count <= COUNT_MAX => Ok(count),
            _ => Err(bad("limit", text, "a number up to 10000")),
        },
    }
}

fn bad(name: &str, text: &str, wanted: &str) -> Fault {
    (StatusCode::BAD_REQUEST, format!("{name}={text} is not known here: it should be {wanted}"))
}

fn too_busy(error: wsi_dataplane::TooBusy) -> Fault {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

fn unprocessable(error: Box<dyn std::error::Error>) -> Fault {
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

type Query = HashMap<String, String>;

/// `a=1&b=two%20words`; every name that is not known is a fault, so that a filter with a slip in it does not mean everybody.
fn parse_query(text: &str) -> Result<Query, Fault> {
    const KNOWN: [&str; 9] = ["id", "client", "policy", "listener", "all", "limit", "since", "text", "mode"];
    let mut query = Query::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !KNOWN.contains(&name) {
            let text = format!("{name} is not known here; there are {}", KNOWN.join(", "));
            return Err((StatusCode::BAD_REQUEST, text));
        }
        query.insert(name.to_owned(), decode(value));
    }
    Ok(query)
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match (first, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// In a time that says nothing of where they differ.
fn is_same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_strictly() {
        let query = parse_query("text=a%20b+c%zz&limit=5").unwrap();
        assert_eq!((query["text"].as_str(), query["limit"].as_str()), ("a b c%zz", "5"));
        assert_eq!(count(&query).unwrap(), 5);
        assert!(parse_query("clint=10.0.0.1").unwrap_err().1.contains("client"));
        assert!(count(&parse_query("limit=10001").unwrap()).is_err());
    }

    #[test]
    fn tokens_are_compared_whole() {
        assert!(is_same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret"] {
            assert!(!is_same(other, b"secret"));
        }
    }
}
