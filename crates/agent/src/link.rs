//! One connection of a proxy's: its messages in, our answers out.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use serde::Deserialize;
use wsi_inspect::{
    Engine, EventSink, Worker,
    frames::{Frame, OfferRefused},
};
use wsi_policy::Direction;

use crate::{
    CorrelationId, Envelope, Fault, Kind, Sessions,
    answer::{self, Decision, Wire},
    event::{self, Configure, EnvelopeV1, FrameEvent, Handshake, Other, RequestHeaders, ResponseHeaders},
    msgpack,
    sessions::FrameOf,
};

/// A connection to a proxy. Give it each message in its order, unless [`Link::is_waiting`].
#[derive(Debug)]
pub struct Link {
    /// The policy of what comes over this connection.
    engine: Arc<Engine>,
    /// What the proxy has pushed (JSON), which `engine` was compiled of. `None`: it is the file's.
    pushed: Option<Arc<str>>,
    /// Of version 2; the first message of version 1 says what it is.
    wire: Wire,
    is_open: bool,
    waiting: Option<Waiting>,
}

/// What is answered when a pushed configuration is compiled.
#[derive(Debug)]
struct Waiting {
    whom: Asked,
    config: Option<Arc<str>>,
}

#[derive(Debug)]
enum Asked {
    Handshake,
    Configure { wire: Wire, id: String },
}

/// Whom a session's records are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    pub client: SocketAddr,
    /// Unique among the sessions of a socket.
    pub connection: u64,
    /// When its beginning was told, on the clock of every `now_ns`.
    pub started_ns: u64,
}

/// Where records go.
pub trait Records {
    /// For the events of one session.
    fn sink(&mut self, peer: Peer) -> impl EventSink;
}

/// Everything of the caller's that is borrowed for one call.
#[derive(Debug)]
pub struct Context<'a, R: Records> {
    pub now_ns: u64,
    /// When the event came, at the earliest: its answer is due the policy's `timeout-ms` later.
    pub arrived_ns: u64,
    /// Nothing more may be held of messages that are not complete.
    pub is_memory_full: bool,
    pub worker: &'a mut Worker,
    pub records: &'a mut R,
}

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Handled {
    /// It was answered, unless it needs no answer or there was no time left for one.
    Done,
    /// Compile this configuration (JSON) and call [`Link::configured`]; until then nothing more is to be handled.
    Configure(Arc<str>),
}

impl<R: Records> Context<'_, R> {
    /// Lends what an inspection borrows, with the records of `peer`.
    pub(crate) fn inspecting<T>(
        &mut self,
        peer: Peer,
        act: impl FnOnce(&mut wsi_inspect::Context<'_, Boxed<'_>>) -> T,
    ) -> T {
        let mut sink = self.records.sink(peer);
        let mut sink = Boxed(&mut sink);
        act(&mut wsi_inspect::Context { now_ns: self.now_ns, worker: self.worker, sink: &mut sink })
    }

    fn is_late(&self, engine: &Engine) -> bool {
        self.worker.now_ns().saturating_sub(self.arrived_ns) > engine.budget_ns()
    }
}

/// A sink whose kind is not known.
pub(crate) struct Boxed<'a>(&'a mut dyn EventSink);

impl EventSink for Boxed<'_> {
    fn policy_chosen(&mut self, policy: usize) {
        self.0.policy_chosen(policy);
    }

    fn event(&mut self, event: wsi_inspect::Event<'_>) {
        self.0.event(event);
    }
}

impl Link {
    pub fn new(sessions: &Sessions) -> Self {
        let engine = Arc::clone(sessions.engine());
        Self { engine, pushed: None, wire: Wire::Json, is_open: false, waiting: None }
    }

    /// What the proxy has pushed over this connection (JSON).
    pub fn pushed(&self) -> Option<&Arc<str>> {
        self.pushed.as_ref()
    }

    /// Goes by another policy, from the next message of each WebSocket on: the file's, or the pushed one laid over another file.
    pub fn adopt(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
    }

    /// A configuration is being compiled: leave further messages where they are.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Handles the message that `envelope` describes in `buffer`, and appends the answer to `out`.
    ///
    /// # Errors
    /// What makes this connection unusable: end it.
    #[inline]
    pub fn handle<R: Records>(
        &mut self,
        envelope: &Envelope,
        buffer: &mut [u8],
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) -> Result<Handled, Fault> {
        let body = buffer.get_mut(envelope.body.clone()).ok_or(Fault::Json)?;
        if envelope.kind != Kind::Envelope && self.is_open == (envelope.kind == Kind::Handshake) {
            return Err(Fault::Handshake);
        }
        let wire = self.wire;
        match envelope.kind {
            Kind::WebSocketFrame => {
                let event = match wire {
                    Wire::MessagePack => FrameEvent::parse_msgpack(body)?,
                    Wire::V1 | Wire::Json => FrameEvent::parse(body)?,
                };
                self.handle_frame(&event, body, wire, sessions, out, context)?;
            }
            Kind::Envelope => return self.handle_v1(body, sessions, out, context),
            Kind::RequestHeaders => self.handle_request(read(wire, body)?, wire, sessions, out, context),
            Kind::ResponseHeaders => self.handle_response(read(wire, body)?, wire, sessions, out, context),
            Kind::Handshake => return self.handle_handshake(body, sessions, out),
            Kind::Configure => return self.handle_configure(body, wire, sessions, out),
            Kind::RequestBody | Kind::ResponseBody => {
                let other: Other = read(wire, body)?;
                answer::write(out, wire, &wire.id(&other.correlation_id), Decision::Allow);
            }
            Kind::RequestComplete => {
                let other: Other = read(wire, body)?;
                if let Some(id) = CorrelationId::new(&other.correlation_id) {
                    sessions.end(id, context);
                }
                answer::write(out, wire, &wire.id(&other.correlation_id), Decision::Allow);
            }
            Kind::Ping => answer::write_pong(out, body),
            // Its event was answered before the next message was read.
            Kind::Cancel => {}
        }
        Ok(Handled::Done)
    }

    /// The configuration that was waited for is compiled, or can't be.
    pub fn configured(
        &mut self,
        result: Result<Arc<Engine>, String>,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
    ) {
        let Some(Waiting { whom, config }) = self.waiting.take() else { return };
        let error = match result {
            Ok(engine) => {
                if matches!(whom, Asked::Configure { wire: Wire::V1, .. }) {
                    sessions.set_v1(Arc::clone(&engine), config.clone());
                }
                (self.engine, self.pushed) = (engine, config);
                None
            }
            Err(error) => Some(error),
        };
        match whom {
            Asked::Handshake => {
                self.is_open = error.is_none();
                answer::write_handshake(out, self.wire, error.as_deref());
            }
            Asked::Configure { wire, id } => {
                let decision = match &error {
                    None => Decision::Allow,
                    Some(text) => Decision::Block { status: 500, text },
                };
                answer::write(out, wire, &wire.id(&id), decision);
            }
        }
    }

    fn handle_handshake(
        &mut self,
        body: &[u8],
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
    ) -> Result<Handled, Fault> {
        let handshake: Handshake<'_> = event::parse(body)?;
        if !handshake.supported_versions.contains(&2) {
            answer::write_handshake(out, self.wire, Some("this agent speaks version 2 of the protocol"));
            return Ok(Handled::Done);
        }
        // The proxy's own order. Whatever it offers, it can do JSON.
        let known = handshake.supported_encodings.iter().find(|name| matches!(&***name, "json" | "msgpack"));
        self.wire = if known.is_some_and(|name| name == "msgpack") { Wire::MessagePack } else { Wire::Json };
        Ok(self.configure(Asked::Handshake, handshake.config.map(|config| config.get()), sessions, out))
    }

    fn handle_configure(
        &mut self,
        body: &[u8],
        wire: Wire,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
    ) -> Result<Handled, Fault> {
        if wire == Wire::MessagePack {
            let configure: msgpack::Configure = msgpack::parse(body)?;
            let whom = Asked::Configure { wire, id: configure.correlation_id };
            let config = configure.config.map(|config| config.to_string());
            return Ok(self.configure(whom, config.as_deref(), sessions, out));
        }
        let configure: Configure<'_> = event::parse(body)?;
        let whom = Asked::Configure { wire, id: configure.correlation_id.into_owned() };
        Ok(self.configure(whom, configure.config.map(|config| config.get()), sessions, out))
    }

    fn configure(
        &mut self,
        whom: Asked,
        config: Option<&str>,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
    ) -> Handled {
        let config: Option<Arc<str>> =
            config.filter(|config| !matches!(*config, "null" | "{}")).map(Arc::from);
        self.waiting = Some(Waiting { whom, config: config.clone() });
        match config {
            None => {
                let engine = Arc::clone(sessions.engine());
                self.configured(Ok(engine), sessions, out);
                Handled::Done
            }
            Some(config) => Handled::Configure(config),
        }
    }

    fn handle_v1<R: Records>(
        &mut self,
        body: &mut [u8],
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) -> Result<Handled, Fault> {
        if !Arc::ptr_eq(&self.engine, sessions.engine_v1()) {
            self.engine = Arc::clone(sessions.engine_v1());
            self.pushed = sessions.pushed_v1().cloned();
        }
        let (kind, payload) = match EnvelopeV1::parse(body)? {
            EnvelopeV1::Frame(event) => {
                self.handle_frame(&event, body, Wire::V1, sessions, out, context)?;
                return Ok(Handled::Done);
            }
            EnvelopeV1::Other(kind, payload) => (kind, payload),
        };
        let payload = body.get(payload).ok_or(Fault::Json)?;
        match kind.as_str() {
            "configure" => return self.handle_configure(payload, Wire::V1, sessions, out),
            "request_headers" => {
                self.handle_request(event::parse(payload)?, Wire::V1, sessions, out, context);
            }
            "response_headers" => {
                self.handle_response(event::parse(payload)?, Wire::V1, sessions, out, context);
            }
            "request_body_chunk" | "response_body_chunk" => {
                answer::write(out, Wire::V1, b"", Decision::Allow);
            }
            "request_complete" => {
                let other: Other = event::parse(payload)?;
                if let Some(id) = CorrelationId::new(&other.correlation_id) {
                    sessions.end(id, context);
                }
                answer::write(out, Wire::V1, b"", Decision::Allow);
            }
            _ => return Err(Fault::UnknownType),
        }
        Ok(Handled::Done)
    }

    #[inline]
    fn handle_frame<R: Records>(
        &mut self,
        event: &FrameEvent,
        body: &mut [u8],
        wire: Wire,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) -> Result<(), Fault> {
        let id = CorrelationId::new(&event.id.read(body)?);
        let client_ip = match &event.client_ip {
            Some(text) => text.read(body)?.parse().ok(),
            None => None,
        };
        let payload = event.decode(body)?;
        let frame =
            Frame { direction: event.direction, fin: event.fin, opcode: event.opcode, payload: &payload };
        let of = FrameOf { id, version: wire.version(), index: event.index, client_ip, frame };
        let verdict = sessions.handle_frame(of, &self.engine, context);
        if context.is_late(&self.engine) {
            sessions.handle_late(id, event.direction, context);
            return Ok(());
        }
        let raw_id = body.get(event.id.range.clone()).unwrap_or_default();
        answer::write(out, wire, raw_id, Decision::Frame(verdict));
        Ok(())
    }

    fn handle_request<R: Records>(
        &mut self,
        request: RequestHeaders<'_>,
        wire: Wire,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) {
        let own_id = request.correlation_id.as_deref();
        let text = own_id.or(request.metadata.correlation_id.as_deref()).unwrap_or_default();
        let id = CorrelationId::new(text);
        let result = if asks_for_websocket(&request) {
            let client = client_of(&request);
            let version = wire.version();
            sessions.handle_request(id, client, &head_of(&request), &self.engine, version, context)
        } else {
            Ok(())
        };
        self.answer(result, text, wire, sessions, out, context);
    }

    fn handle_response<R: Records>(
        &mut self,
        response: ResponseHeaders,
        wire: Wire,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) {
        let text = response.correlation_id.as_str();
        let id = CorrelationId::new(text);
        let fields = response
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str())));
        let result = sessions.handle_response(id, response.status, fields, &self.engine, context);
        self.answer(result, text, wire, sessions, out, context);
    }

    fn answer<R: Records>(
        &self,
        result: Result<(), OfferRefused>,
        text: &str,
        wire: Wire,
        sessions: &mut Sessions,
        out: &mut Vec<u8>,
        context: &mut Context<'_, R>,
    ) {
        if context.is_late(&self.engine) {
            return sessions.handle_late(CorrelationId::new(text), Direction::ToServer, context);
        }
        let decision = match &result {
            Ok(()) => Decision::Allow,
            Err(OfferRefused { status, text }) => Decision::Block { status: *status, text },
        };
        answer::write(out, wire, &wire.id(text), decision);
    }
}

/// Reads an event of version 2 that is no frame.
fn read<'b, T: Deserialize<'b>>(wire: Wire, body: &'b [u8]) -> Result<T, Fault> {
    if wire == Wire::MessagePack { msgpack::parse(body) } else { event::parse(body) }
}

/// As broadly as any server might take it.
fn asks_for_websocket(request: &RequestHeaders<'_>) -> bool {
    request.headers.iter().any(|(name, values)| {
        name.eq_ignore_ascii_case("upgrade")
            && values.iter().any(|value| value.to_ascii_lowercase().contains("websocket"))
    })
}

/// The request as it would stand on the wire. What could be taken for another line there is left to be refused: a NUL
/// takes its place.
fn head_of(request: &RequestHeaders<'_>) -> Vec<u8> {
    let plain = |text: &str| text.replace(['\r', '\n'], "\0");
    let mut head = format!("{} {} HTTP/1.1\r\n", plain(&request.method), plain(&request.uri));
    for (name, values) in &request.headers {
        for value in values {
            head.push_str(&plain(name));
            head.push_str(": ");
            head.push_str(&plain(value));
            head.push_str("\r\n");
        }
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// Proxies before 0.6.54 wrote address and port in one.
fn client_of(request: &RequestHeaders<'_>) -> SocketAddr {
    let metadata = &request.metadata;
    match (metadata.client_ip.parse::<IpAddr>(), metadata.client_ip.parse()) {
        (Ok(ip), _) => SocketAddr::new(ip, metadata.client_port),
        (_, Ok(address)) => address,
        _ => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), metadata.client_port),
    }
}
