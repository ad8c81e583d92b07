//! A proxy's side: messages as Zentinel writes them, and what came back.
#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::{Value, json};
use wsi_agent::{Context, Fault, Framing, Handled, Link, Next, Peer, Records, Sessions, SessionsOptions};
use wsi_inspect::{Engine, Event, EventSink, Outcome, Worker};
use wsi_policy::{Action, CloseCode, ContentFilter, Directions, Pattern, Policy};

pub const SECOND_NS: u64 = 1_000_000_000;
/// As TinyFlake makes them.
pub const ID: &str = "ccF9ysBDDXr";

/// A policy that closes on "<script", drops on "gamble" and redacts "secret", in both directions.
pub fn policy() -> Policy {
    let filter = |name: &str, pattern: &str, action| ContentFilter {
        name: name.into(),
        patterns: vec![Pattern::Literal(pattern.into())],
        rule_sets: vec![],
        directions: Directions::Both,
        normalize: wsi_policy::Normalize::default(),
        action,
        redact_with: None,
        reply: None,
        message_size_max: None,
    };
    Policy {
        name: "guard".into(),
        timeout_ms: 50,
        content_filters: vec![
            filter("content-filter-1", "<script", Action::Close(CloseCode::POLICY_VIOLATION)),
            filter("content-filter-2", "gamble", Action::Drop),
            filter("content-filter-3", "secret", Action::Redact),
        ],
        events: wsi_policy::EventKind::ALL.into_iter().collect(),
        ..Policy::default()
    }
}

#[derive(Debug, Default)]
pub struct Told(pub Vec<String>);

pub struct Sink<'a>(&'a mut Vec<String>);

impl EventSink for Sink<'_> {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        self.0.push(match event {
            Event::Handshake { status, .. } => format!("handshake {status}"),
            Event::Open { .. } => "open".into(),
            Event::Message { size, fragments, .. } => format!("message {size} in {fragments}"),
            Event::Ping { .. } => "ping".into(),
            Event::Pong { .. } => "pong".into(),
            Event::Close { code, initiator, .. } => {
                format!("close {} by {}", code.map_or(0, CloseCode::as_u16), initiator.name())
            }
            Event::Verdict(verdict) => match verdict.outcome {
                Outcome::Message(action) => format!("{action:?}"),
                outcome => format!("{outcome:?}"),
            },
        });
    }
}

impl Records for Told {
    fn sink(&mut self, _: Peer) -> impl EventSink {
        Sink(&mut self.0)
    }
}

/// An agent and the connections of one proxy to it.
pub struct Agent {
    pub engine: Arc<Engine>,
    pub sessions: Sessions,
    pub worker: Worker,
    pub told: Told,
    pub now_ns: u64,
    /// What the clock of the inspection is ahead of `now_ns`.
    pub taken_ns: Arc<AtomicU64>,
    next: [u64; 2],
}

impl Agent {
    pub fn new(policy: &Policy) -> Self {
        Self::with_options(policy, 1000, None)
    }

    pub fn with_options(policy: &Policy, sessions_max: usize, age_max_ns: Option<u64>) -> Self {
        let engine = Arc::new(Engine::compile(policy, 0).unwrap());
        let taken_ns = Arc::new(AtomicU64::new(0));
        let theirs = Arc::clone(&taken_ns);
        let clock = Box::new(move || SECOND_NS + theirs.load(Ordering::Relaxed));
        let worker = Worker::new([&*engine], [7; 32], clock).unwrap();
        let options = SessionsOptions { engine: Arc::clone(&engine), sessions_max, age_max_ns };
        let sessions = Sessions::new(options);
        let told = Told::default();
        Self { engine, sessions, worker, told, now_ns: SECOND_NS, taken_ns, next: [0; 2] }
    }

    /// A connection that has shaken hands.
    pub fn link(&mut self) -> Link {
        let mut link = Link::new(&self.sessions);
        let answer = self.send(&mut link, &handshake(json!(null))).unwrap();
        assert!(String::from_utf8_lossy(&answer).contains("\"success\":true"));
        link
    }

    /// Gives `bytes`, whole messages, to `link`; the answers' bytes.
    pub fn send(&mut self, link: &mut Link, bytes: &[u8]) -> Result<Vec<u8>, Fault> {
        let (mut framing, mut out, mut rest) = (Framing::default(), Vec::new(), bytes.to_vec());
        while let Next::Message(envelope) = framing.next(&rest)? {
            let mut context = Context {
                now_ns: self.now_ns,
                arrived_ns: self.now_ns,
                is_memory_full: false,
                worker: &mut self.worker,
                records: &mut self.told,
            };
            let handled = link.handle(&envelope, &mut rest, &mut self.sessions, &mut out, &mut context)?;
            assert_eq!(handled, Handled::Done);
            rest.drain(..envelope.size);
        }
        assert!(rest.is_empty());
        Ok(out)
    }

    /// Gives one message to `link`: what became of it, and the answers' bytes.
    pub fn handle(&mut self, link: &mut Link, message: &[u8]) -> (Result<Handled, Fault>, Vec<u8>) {
        let (mut buffer, mut out) = (message.to_vec(), Vec::new());
        let Ok(Next::Message(envelope)) = Framing::default().next(&buffer) else { panic!("one message") };
        let mut context = Context {
            now_ns: self.now_ns,
            arrived_ns: self.now_ns,
            is_memory_full: false,
            worker: &mut self.worker,
            records: &mut self.told,
        };
        (link.handle(&envelope, &mut buffer, &mut self.sessions, &mut out, &mut context), out)
    }

    /// The next frame of its direction; the verdict as it stands in the answer.
    pub fn frame(&mut self, link: &mut Link, to_server: bool, opcode: &str, fin: bool, data: &[u8]) -> Value {
        let next = &mut self.next[usize::from(!to_server)];
        let index = *next;
        *next += 1;
        let event = frame_event(ID, to_server, index, opcode, fin, data);
        verdict(&self.send(link, &event).unwrap())
    }

    pub fn text(&mut self, link: &mut Link, to_server: bool, text: &str) -> Value {
        self.frame(link, to_server, "text", true, text.as_bytes())
    }
}

pub fn v2(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + 1).unwrap();
    [&size.to_be_bytes()[..], &[kind], body].concat()
}

pub fn v1(kind: &str, payload: &Value) -> Vec<u8> {
    let body = format!("{{\"version\":1,\"event_type\":\"{kind}\",\"payload\":{payload}}}");
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body.as_bytes()].concat()
}

pub fn handshake(config: Value) -> Vec<u8> {
    let body = json!({ "supported_versions": [2], "proxy_id": "zentinel-proxy", "proxy_version": "0.6.54",
        "config": config, "supported_encodings": ["json"] });
    v2(0x01, body.to_string().as_bytes())
}

pub fn frame_payload(id: &str, to_server: bool, index: u64, opcode: &str, fin: bool, data: &[u8]) -> Value {
    json!({ "client_ip": "203.0.113.5", "client_to_server": to_server, "correlation_id": id,
        "data": base64_simd::STANDARD.encode_to_string(data), "fin": fin, "frame_index": index,
        "opcode": opcode, "route_id": "ws" })
}

pub fn frame_event(id: &str, to_server: bool, index: u64, opcode: &str, fin: bool, data: &[u8]) -> Vec<u8> {
    v2(0x15, frame_payload(id, to_server, index, opcode, fin, data).to_string().as_bytes())
}

pub fn request(id: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = json!({ "connection": ["Upgrade"], "host": ["lab.test"], "upgrade": ["websocket"],
        "sec-websocket-key": ["dGhlIHNhbXBsZSBub25jZQ=="], "sec-websocket-version": ["13"] });
    for (name, value) in headers {
        let values = all.as_object_mut().unwrap().entry(*name).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(json!(value));
    }
    let body = json!({ "correlation_id": id, "headers": all, "method": "GET", "uri": "/chat",
        "metadata": { "client_ip": "203.0.113.5", "client_port": 5000, "correlation_id": id } });
    v2(0x10, body.to_string().as_bytes())
}

pub fn response(id: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut all = json!({ "connection": ["Upgrade"], "upgrade": ["websocket"],
        "sec-websocket-accept": ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="] });
    for (name, value) in headers {
        all[*name] = json!([value]);
    }
    let body = json!({ "correlation_id": id, "headers": all, "status": 101 });
    v2(0x12, body.to_string().as_bytes())
}

/// The only answer among `bytes`, of version 2.
pub fn answer(bytes: &[u8]) -> Value {
    let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    assert_eq!(bytes.len(), size + 4, "one answer");
    assert_eq!(bytes[4], 0x20);
    serde_json::from_slice(&bytes[5..]).unwrap()
}

pub fn verdict(bytes: &[u8]) -> Value {
    answer(bytes)["websocket_decision"].clone()
}

/// The status of a block, or 0.
pub fn status(bytes: &[u8]) -> u64 {
    answer(bytes)["decision"]["block"]["status"].as_u64().unwrap_or_default()
}

pub fn close(code: u16) -> impl Fn(&Value) -> bool {
    move |verdict| verdict["close"]["code"] == json!(code)
}
