//! An upgrade of which a proxy tells the header fields: judged, not answered.

use wsi_policy::{Direction, EventKind, HandshakeRules, Mode};
use wsi_ws::handshake::{HandshakeError, HeadLimits, Request, accept_value};

use super::Anomaly;
use crate::{
    engine::Engine,
    event::{Event, EventSink, Outcome, VerdictEvent},
    rules::{Refusal, RuleId},
    session::Context,
    upgrade::{Refused, accepts, answer, objection, tell_refusal, tell_verdict},
};

const COMPRESSION_TEXT: &str = "This route inspects messages behind a proxy that inspects nothing where permessage-deflate is \
    offered; connect without compression. Operators: strip Sec-WebSocket-Extensions in a hop in front, use the inline \
    inspector, or set handshake { compression-uninspected \"allow\" }.";
const EXTENSION_TEXT: &str =
    "The server accepted a WebSocket extension, under which messages can't be inspected here.";

/// The answer that is to be given in place of the upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferRefused {
    pub status: u16,
    pub text: &'static str,
}

/// A request that was allowed; what its answer is held against.
#[derive(Debug)]
pub struct Offer {
    path: Box<str>,
    host: Box<str>,
    origin: Option<Box<str>>,
    /// What the server must prove (RFC 6455 section 4.1).
    accept: [u8; 28],
    subprotocols: Vec<Box<str>>,
    /// permessage-deflate was offered and let through.
    is_uninspected: bool,
}

impl Offer {
    /// Judges a request, given as an HTTP/1.1 head (up to the empty line).
    ///
    /// # Errors
    /// The refusal that the client is to get; it has been told.
    pub fn judge<S: EventSink>(
        engine: &Engine,
        head: &[u8],
        context: &mut Context<'_, S>,
    ) -> Result<Self, OfferRefused> {
        let request = match Request::parse(head, HeadLimits::default()) {
            Ok(request) => request,
            Err(fault) => return Err(refuse_head(engine, fault, context)),
        };
        let is_uninspected = turns_inspection_off(&request);
        let refusal =
            objection(&without_compression(&engine.handshake), &request)
                .or((is_uninspected && !engine.handshake.compression_uninspected)
                    .then_some(Refusal::Compression));
        if let Some(refusal) = refusal {
            tell_refusal(Some(engine), refusal, engine.mode, context);
            if engine.mode == Mode::Enforce {
                tell_answer(engine, answer(&request, refusal.status()), context);
                context.worker.upgrade_stats_mut(Some(engine)).upgrades_refused += 1;
                let text = if refusal == Refusal::Compression { COMPRESSION_TEXT } else { refusal.text() };
                return Err(OfferRefused { status: refusal.status(), text });
            }
        }
        if is_uninspected {
            pass_uninspected(engine, refusal != Some(Refusal::Compression), context);
        }
        Ok(Self {
            path: request.path().into(),
            host: request.host().into(),
            origin: request.origin().map(Into::into),
            accept: accept_value(request.key().as_bytes()),
            subprotocols: request.subprotocols().map(Into::into).collect(),
            is_uninspected,
        })
    }

    /// Refuses a request whose events could not be told from another connection's.
    pub fn refuse_anomaly<S: EventSink>(
        engine: &Engine,
        anomaly: Anomaly,
        context: &mut Context<'_, S>,
    ) -> OfferRefused {
        let status = if anomaly == Anomaly::IdLive { 409 } else { 400 };
        let refused = Refused {
            rule: RuleId::anomaly(anomaly),
            direction: Direction::ToServer,
            status,
            mode: Mode::Enforce,
        };
        tell_verdict(Some(engine), refused, anomaly.text(), context);
        context.worker.upgrade_stats_mut(Some(engine)).upgrades_refused += 1;
        OfferRefused { status, text: anomaly.text() }
    }

    /// Judges the answer; names in `fields` are compared without case.
    ///
    /// # Errors
    /// What the client is to get in its place; it has been told.
    pub fn judge_answer<'a, S: EventSink>(
        &self,
        engine: &Engine,
        status: u16,
        fields: impl Iterator<Item = (&'a str, &'a str)> + Clone,
        context: &mut Context<'_, S>,
    ) -> Result<(), OfferRefused> {
        let values =
            |name: &'static str| fields.clone().filter(move |(own, _)| own.eq_ignore_ascii_case(name));
        if status != 101 {
            self.tell_status(engine, status, context);
            context.worker.upgrade_stats_mut(Some(engine)).upgrades_refused += 1;
            return Ok(());
        }
        if let Some(fault) = self.fault(engine, &values) {
            self.tell_status(engine, fault.status(), context);
            return Err(refuse_answer(engine, fault, context));
        }
        self.tell_status(engine, 101, context);
        self.open(engine, values("sec-websocket-protocol").next().map(|(_, name)| name), context);
        Ok(())
    }

    /// Judges a 101 whose request was not told.
    ///
    /// # Errors
    /// As [`Offer::judge_answer`].
    pub fn judge_unasked<'a, S: EventSink>(
        engine: &Engine,
        mut fields: impl Iterator<Item = (&'a str, &'a str)>,
        context: &mut Context<'_, S>,
    ) -> Result<(), OfferRefused> {
        let extends = fields.any(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        if extends && !engine.handshake.compression_uninspected {
            return Err(refuse_answer(engine, HandshakeError::UpstreamExtension, context));
        }
        Ok(())
    }

    /// The connection is open, whether or not its answer was seen.
    pub fn open<S: EventSink>(
        &self,
        engine: &Engine,
        subprotocol: Option<&str>,
        context: &mut Context<'_, S>,
    ) {
        context.worker.upgrade_stats_mut(Some(engine)).upgrades_accepted += 1;
        if engine.tells(EventKind::Open) {
            context.sink.event(Event::Open { subprotocol });
        }
    }

    fn fault<'a, I: Iterator<Item = (&'a str, &'a str)>>(
        &self,
        engine: &Engine,
        values: &impl Fn(&'static str) -> I,
    ) -> Option<HandshakeError> {
        if values("sec-websocket-extensions").next().is_some() && !self.is_uninspected {
            return Some(HandshakeError::UpstreamExtension);
        }
        let mut accepts_of_server = values("sec-websocket-accept");
        let proof = accepts_of_server.next().map(|(_, value)| value.as_bytes());
        if proof != Some(&self.accept) || accepts_of_server.next().is_some() {
            return Some(HandshakeError::UpstreamAccept);
        }
        let mut selected = values("sec-websocket-protocol");
        let is_offered = |name: &str| self.subprotocols.iter().any(|own| **own == *name);
        let is_fine = selected.next().is_none_or(|(_, name)| is_offered(name) && accepts(engine, name));
        (!is_fine || selected.next().is_some()).then_some(HandshakeError::UpstreamSubprotocol)
    }

    fn tell_status<S: EventSink>(&self, engine: &Engine, status: u16, context: &mut Context<'_, S>) {
        let Self { path, host, origin, .. } = self;
        tell_answer(engine, Event::Handshake { path, host, origin: origin.as_deref(), status }, context);
    }
}

fn tell_answer<S: EventSink>(engine: &Engine, event: Event<'_>, context: &mut Context<'_, S>) {
    if engine.tells(EventKind::Handshake) {
        context.sink.event(event);
    }
}

fn refuse_head<S: EventSink>(
    engine: &Engine,
    fault: HandshakeError,
    context: &mut Context<'_, S>,
) -> OfferRefused {
    let status = fault.status();
    let rule = RuleId::handshake(fault);
    let refused = Refused { rule, direction: Direction::ToServer, status, mode: Mode::Enforce };
    tell_verdict(Some(engine), refused, &fault.to_string(), context);
    context.worker.upgrade_stats_mut(Some(engine)).upgrades_refused += 1;
    OfferRefused {
        status,
        text: "This request for an upgrade breaks RFC 6455 section 4.1; use a WebSocket client.",
    }
}

fn refuse_answer<S: EventSink>(
    engine: &Engine,
    fault: HandshakeError,
    context: &mut Context<'_, S>,
) -> OfferRefused {
    let (status, rule) = (fault.status(), RuleId::handshake(fault));
    let refused = Refused { rule, direction: Direction::ToClient, status, mode: Mode::Enforce };
    tell_verdict(Some(engine), refused, &fault.to_string(), context);
    context.worker.upgrade_stats_mut(Some(engine)).upgrades_refused += 1;
    let text = match fault {
        HandshakeError::UpstreamExtension => EXTENSION_TEXT,
        _ => "The server's answer to the upgrade breaks RFC 6455 section 4.1.",
    };
    OfferRefused { status, text }
}

/// What the proxy looks for, and what a server may understand: in any field of that name, in any case, within any word.
fn turns_inspection_off(request: &Request<'_>) -> bool {
    let of_extensions = |name: &str| name.eq_ignore_ascii_case("sec-websocket-extensions");
    let offers = |value: &[u8]| {
        let value = value.to_ascii_lowercase();
        value.windows(18).any(|word| word == b"permessage-deflate")
    };
    request.headers().any(|field| of_extensions(field.name) && offers(field.value))
}

/// Offers of compression are judged here, in every spelling.
fn without_compression(rules: &HandshakeRules) -> HandshakeRules {
    HandshakeRules { compression: wsi_policy::Compression::Strip, ..rules.clone() }
}

/// `tells`: detect mode has not told of it yet.
fn pass_uninspected<S: EventSink>(engine: &Engine, tells: bool, context: &mut Context<'_, S>) {
    let rule = RuleId::refusal(Refusal::Compression);
    let stats = context.worker.upgrade_stats_mut(Some(engine));
    stats.passed_uninspected += 1;
    if !tells {
        return;
    }
    stats.record_verdict(Direction::ToServer, rule);
    context.sink.event(Event::Verdict(VerdictEvent {
        direction: None,
        opcode: None,
        size: 0,
        rule,
        outcome: Outcome::PassedUninspected,
        mode: engine.mode,
        detail: "permessage-deflate was offered, so the proxy tells nothing of this connection's messages",
        payload: &[],
        at: None,
    }));
}
