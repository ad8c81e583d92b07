//! A connection that is being opened: the client's request, the policy's word on it, and the server's answer.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use wsi_policy::{Compression, Direction, EventKind, HandshakeRules, Mode, Route, UpstreamId};
use wsi_ws::{
    Role,
    handshake::{self, HandshakeError, HeadLimits, HeadScanner, Hop, Key, Request, Response},
};

use crate::{
    engine::Engine,
    event::{Event, EventSink, Outcome, VerdictEvent},
    rules::{Refusal, RuleId},
    session::{Context, Legs, Session},
    worker::Worker,
};

/// The upgrade of one connection (RFC 6455 section 4), both legs.
///
/// Feed it the client's bytes with [`Upgrade::handle_request`] until it asks to connect, then the server's with
/// [`Upgrade::handle_response`] until it gives a [`Session`]. Whatever goes wrong is answered by the bytes of a refusal; then
/// the connection is to be closed.
#[derive(Debug)]
pub struct Upgrade {
    head: Vec<u8>,
    scanner: HeadScanner,
    asked: Option<Asked>,
}

/// A request that was passed on.
#[derive(Debug)]
struct Asked {
    engine: Arc<Engine>,
    client: IpAddr,
    key: Key,
    /// The client's request head, for the answer to it.
    request: Vec<u8>,
}

/// What the client's bytes led to.
#[derive(Debug)]
pub enum RequestStep {
    /// The head is not complete.
    More,
    /// Send this to the client and close.
    Refused(Vec<u8>),
    /// Connect to this upstream and send it this request.
    Connect { upstream: UpstreamId, request: Vec<u8> },
}

/// What the server's bytes led to.
#[derive(Debug)]
pub enum ResponseStep {
    More,
    /// Send this to the client and close both legs.
    Refused(Vec<u8>),
    /// Send this to the client; the first `consumed` bytes of this input belonged to the answer, frames follow.
    Open {
        response: Vec<u8>,
        consumed: usize,
        session: Box<Session>,
    },
}

/// What the upgrade must know of where it takes place.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The listener's routes; the first match wins.
    pub routes: &'a [Route],
    /// By [`wsi_policy::PolicyId`].
    pub engines: &'a [Arc<Engine>],
    /// The peer, or whom its PROXY header names.
    pub client: IpAddr,
    /// Hops whose X-Forwarded-For says who the client is.
    pub trusted: &'a [IpNet],
    /// The client speaks TLS.
    pub is_tls: bool,
    /// Why no more connections may be opened.
    pub full: Option<Refusal>,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self { head: Vec::new(), scanner: HeadScanner::new(Role::Client, HeadLimits::default()), asked: None }
    }
}

impl Upgrade {
    /// The engine of the route, once there is one.
    pub fn engine(&self) -> Option<&Arc<Engine>> {
        self.asked.as_ref().map(|asked| &asked.engine)
    }

    /// The memory that is held for the heads, in bytes.
    pub fn memory_size(&self) -> u64 {
        let request = self.asked.as_ref().map_or(0, |asked| asked.request.capacity());
        (self.head.capacity() + request) as u64
    }

    /// Takes the client's bytes.
    pub fn handle_request<S: EventSink>(
        &mut self,
        input: &[u8],
        place: Place<'_>,
        context: &mut Context<'_, S>,
    ) -> RequestStep {
        if self.asked.is_some() {
            return RequestStep::Refused(self.refuse(Refusal::EarlyData, context));
        }
        // The scanner refuses a head above its limit, so this stays bounded.
        let size_max = HeadLimits::default().size_max + 1;
        let taken = input.len().min(size_max.saturating_sub(self.head.len()));
        self.head.extend_from_slice(&input[..taken]);
        let end = match self.scanner.head_end(&self.head) {
            Ok(None) => return RequestStep::More,
            Ok(Some(end)) => end,
            Err(fault) => return RequestStep::Refused(refuse_head(fault, context)),
        };
        let head = std::mem::take(&mut self.head);
        let request = match Request::parse(&head[..end], HeadLimits::default()) {
            Ok(request) => request,
            Err(fault) => return RequestStep::Refused(refuse_head(fault, context)),
        };
        let forwarded = forwarded_client(&request, &place);
        if let Some(client) = forwarded {
            context.sink.client_known(client);
        }
        if let Some(refusal) = place.full {
            return RequestStep::Refused(refuse(None, refusal, Some(&request), context));
        }
        let route = place.routes.iter().find(|route| route.matches(request.host(), request.path()));
        let Some((route, engine)) = route.and_then(|route| Some((route, place.engines.get(route.policy.0)?)))
        else {
            return RequestStep::Refused(refuse(None, Refusal::Route, Some(&request), context));
        };
        context.sink.policy_chosen(engine.index);
        if end < head.len() || taken < input.len() {
            let engine = Some(&**engine);
            return RequestStep::Refused(refuse(engine, Refusal::EarlyData, Some(&request), context));
        }
        if let Some(refusal) = objection(&engine.handshake, &request) {
            tell_refusal(Some(engine), refusal, engine.mode, context);
            if engine.mode == Mode::Enforce {
                return RequestStep::Refused(refuse_told(Some(engine), refusal, Some(&request), context));
            }
        }
        let key = Key::new(context.worker.nonce());
        let mut out = Vec::with_capacity(head.len() + 128);
        let hop = Hop { client: place.client, is_tls: place.is_tls };
        let compression = offers_compression(engine, &request);
        let allowed = |name: &&str| accepts(engine, name);
        handshake::write_upstream_request(&request, &key, allowed, compression, hop, &mut out);
        let client = forwarded.unwrap_or(place.client);
        self.asked = Some(Asked { engine: Arc::clone(engine), client, key, request: head });
        self.scanner = HeadScanner::new(Role::Server, HeadLimits::default());
        RequestStep::Connect { upstream: route.upstream, request: out }
    }

    /// Takes the server's bytes, once connected.
    pub fn handle_response<S: EventSink>(
        &mut self,
        input: &[u8],
        context: &mut Context<'_, S>,
    ) -> ResponseStep {
        let before = self.head.len();
        let size_max = HeadLimits::default().size_max + 1;
        let taken = input.len().min(size_max.saturating_sub(before));
        self.head.extend_from_slice(&input[..taken]);
        let Some(asked) = &self.asked else { return ResponseStep::More };
        let end = match self.scanner.head_end(&self.head) {
            Ok(None) => return ResponseStep::More,
            Ok(Some(end)) => end,
            Err(fault) => return ResponseStep::Refused(asked.refuse(fault, context)),
        };
        let response = match Response::parse(&self.head[..end], HeadLimits::default()) {
            Ok(response) => response,
            Err(fault) => return ResponseStep::Refused(asked.refuse(fault, context)),
        };
        match response.status() {
            101 => {}
            300..=303 | 305..=599 => return ResponseStep::Refused(asked.reject(&response, context)),
            _ => return ResponseStep::Refused(asked.refuse(HandshakeError::UpstreamStatus, context)),
        }
        let Ok(request) = Request::parse(&asked.request, HeadLimits::default()) else {
            // It parsed before.
            return ResponseStep::Refused(asked.refuse(HandshakeError::Incomplete, context));
        };
        let offered =
            |name: &str| request.subprotocols().any(|own| own == name) && accepts(&asked.engine, name);
        let compression = offers_compression(&asked.engine, &request);
        let accepted = match response.verify_extended(&asked.key, offered, compression) {
            Ok(accepted) => accepted,
            Err(fault) => return ResponseStep::Refused(asked.refuse(fault, context)),
        };
        // The legs have nothing to do with each other: what the server refuses, the client may still have.
        let client = request.compression().filter(|_| compression);
        let legs = Legs { client, server: accepted.compression() };
        let mut out = Vec::with_capacity(end + 64);
        handshake::write_client_response(&accepted, request.key(), client, &mut out);
        asked.tell_answer(&request, 101, context);
        context.worker.upgrade_stats_mut(Some(&asked.engine)).upgrades_accepted += 1;
        if asked.engine.tells(EventKind::Open) {
            context.sink.event(Event::Open { subprotocol: accepted.subprotocol() });
        }
        let engine = Arc::clone(&asked.engine);
        let mut session = Box::new(Session::with_compression(engine, legs, context.now_ns));
        session.belong_to(asked.client);
        if let Some(name) = accepted.subprotocol() {
            session.agree(name, context.now_ns);
        }
        // The head ends in this input, or an earlier call would have seen its end.
        ResponseStep::Open { response: out, consumed: end.saturating_sub(before), session }
    }

    /// Ends the upgrade from outside; gives what the client is to be sent.
    pub fn refuse<S: EventSink>(&mut self, refusal: Refusal, context: &mut Context<'_, S>) -> Vec<u8> {
        match self.asked.take() {
            Some(asked) => {
                let request = Request::parse(&asked.request, HeadLimits::default()).ok();
                refuse(Some(&asked.engine), refusal, request.as_ref(), context)
            }
            None => refuse(None, refusal, None, context),
        }
    }

    /// Nothing has come from the client yet.
    pub fn is_untouched(&self) -> bool {
        self.asked.is_none() && self.head.is_empty()
    }
}

impl Asked {
    /// The server's answer breaks the protocol.
    fn refuse<S: EventSink>(&self, fault: HandshakeError, context: &mut Context<'_, S>) -> Vec<u8> {
        let rule = RuleId::handshake(fault);
        let status = fault.status();
        let refused = Refused { rule, direction: Direction::ToClient, status, mode: Mode::Enforce };
        tell_verdict(Some(&self.engine), refused, &fault.to_string(), context);
        if let Ok(request) = Request::parse(&self.request, HeadLimits::default()) {
            self.tell_answer(&request, status, context);
        }
        context.worker.upgrade_stats_mut(Some(&self.engine)).upgrades_refused += 1;
        let mut out = Vec::new();
        handshake::write_refusal(fault, &mut out);
        out
    }

    /// The server refused: its status is passed on, its body is not.
    fn reject<S: EventSink>(&self, response: &Response<'_>, context: &mut Context<'_, S>) -> Vec<u8> {
        if let Ok(request) = Request::parse(&self.request, HeadLimits::default()) {
            self.tell_answer(&request, response.status(), context);
        }
        context.worker.upgrade_stats_mut(Some(&self.engine)).upgrades_refused += 1;
        let mut out = Vec::new();
        handshake::write_rejection(response, &mut out);
        out
    }

    fn tell_answer<S: EventSink>(&self, request: &Request<'_>, status: u16, context: &mut Context<'_, S>) {
        if self.engine.tells(EventKind::Handshake) {
            context.sink.event(answer(request, status));
        }
    }
}

/// What the policy has against a request that the protocol has nothing against.
pub(crate) fn objection(rules: &HandshakeRules, request: &Request<'_>) -> Option<Refusal> {
    if let Some(origins) = &rules.origins {
        // Exactly one of them: a request without an origin does not show where it comes from.
        let known = request.origin().is_some_and(|origin| origins.iter().any(|each| each == origin));
        if !known {
            return Some(Refusal::Origin);
        }
    }
    if let Some(names) = &rules.subprotocols {
        let mut offered = request.subprotocols().peekable();
        if offered.peek().is_some() && !offered.any(|name| names.iter().any(|each| each == name)) {
            return Some(Refusal::Subprotocol);
        }
    }
    (rules.compression == Compression::Refuse && request.offers_compression()).then_some(Refusal::Compression)
}

/// Whether a subprotocol may be offered on.
pub(crate) fn accepts(engine: &Engine, name: &str) -> bool {
    let rules = &engine.handshake;
    engine.mode == Mode::Detect
        || rules.subprotocols.as_ref().is_none_or(|names| names.iter().any(|each| each == name))
}

/// Whom the hops that are trusted name: the last address of X-Forwarded-For that is not one of theirs. `None`: the peer itself is
/// the client.
fn forwarded_client(request: &Request<'_>, place: &Place<'_>) -> Option<IpAddr> {
    let is_trusted = |address: &IpAddr| place.trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&place.client.to_canonical()) {
        return None;
    }
    let fields = request.headers().filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"));
    let text = fields.map(|field| String::from_utf8_lossy(field.value)).collect::<Vec<_>>().join(",");
    // What is before something that is no address may be anybody's word.
    let hops = text.rsplit(',').map_while(|hop| address(hop.trim()));
    let mut client = None;
    for hop in hops {
        client = Some(hop);
        if !is_trusted(&hop) {
            break;
        }
    }
    client
}

/// As hops write it: `203.0.113.9`, `203.0.113.9:4711`, `2001:db8::1`, `[2001:db8::1]:4711`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let ip = bare.parse().or_else(|_| text.parse::<std::net::SocketAddr>().map(|address| address.ip()));
    ip.ok().map(|ip: IpAddr| ip.to_canonical())
}

/// Whether we offer compression to the server: only where the client wants it too.
fn offers_compression(engine: &Engine, request: &Request<'_>) -> bool {
    engine.handshake.compression == Compression::Inspect && request.offers_compression()
}

pub(crate) fn answer<'a>(request: &Request<'a>, status: u16) -> Event<'a> {
    Event::Handshake { path: request.path(), host: request.host(), origin: request.origin(), status }
}

/// A request that breaks the protocol, before any route could take it.
fn refuse_head<S: EventSink>(fault: HandshakeError, context: &mut Context<'_, S>) -> Vec<u8> {
    let rule = RuleId::handshake(fault);
    let refused =
        Refused { rule, direction: Direction::ToServer, status: fault.status(), mode: Mode::Enforce };
    tell_verdict(None, refused, &fault.to_string(), context);
    context.worker.upgrade_stats_mut(None).upgrades_refused += 1;
    let mut out = Vec::new();
    handshake::write_refusal(fault, &mut out);
    out
}

fn refuse<S: EventSink>(
    engine: Option<&Engine>,
    refusal: Refusal,
    request: Option<&Request<'_>>,
    context: &mut Context<'_, S>,
) -> Vec<u8> {
    tell_refusal(engine, refusal, Mode::Enforce, context);
    refuse_told(engine, refusal, request, context)
}

fn refuse_told<S: EventSink>(
    engine: Option<&Engine>,
    refusal: Refusal,
    request: Option<&Request<'_>>,
    context: &mut Context<'_, S>,
) -> Vec<u8> {
    if let Some(request) = request
        && engine.is_none_or(|engine| engine.tells(EventKind::Handshake))
    {
        context.sink.event(answer(request, refusal.status()));
    }
    context.worker.upgrade_stats_mut(engine).upgrades_refused += 1;
    let mut out = Vec::new();
    handshake::write_error(refusal.status(), &[], refusal.text(), &mut out);
    out
}

/// `mode` says whether it is carried out: what keeps both sides from understanding each other always is.
pub(crate) fn tell_refusal<S: EventSink>(
    engine: Option<&Engine>,
    refusal: Refusal,
    mode: Mode,
    context: &mut Context<'_, S>,
) {
    let rule = RuleId::refusal(refusal);
    let refused = Refused { rule, direction: Direction::ToServer, status: refusal.status(), mode };
    tell_verdict(engine, refused, refusal.text(), context);
}

/// An upgrade that is answered with something else than 101, or would be.
pub(crate) struct Refused {
    pub rule: RuleId,
    pub direction: Direction,
    pub status: u16,
    pub mode: Mode,
}

pub(crate) fn tell_verdict<S: EventSink>(
    engine: Option<&Engine>,
    refused: Refused,
    detail: &str,
    context: &mut Context<'_, S>,
) {
    let worker: &mut Worker = context.worker;
    worker.upgrade_stats_mut(engine).record_verdict(refused.direction, refused.rule);
    context.sink.event(Event::Verdict(VerdictEvent {
        direction: None,
        opcode: None,
        size: 0,
        rule: refused.rule,
        outcome: Outcome::Refused(refused.status),
        mode: refused.mode,
        detail,
        payload: &[],
        at: None,
    }));
}
