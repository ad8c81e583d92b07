//! One connection under one configuration.

use std::{net::IpAddr, sync::Arc, time::Instant};

use wsi_config::policy::{Action, Direction, Mode};
use wsi_inspect::{
    CloseCode, Context, Engine, Legs, Opcode, Outcome, Place, RequestStep, ResponseStep, RuleTable, Session,
    Transmit, Upgrade,
};

use super::{
    ears::{Ears, Heard},
    opening::{Opening, agreed_compression, field, retold, status},
    trial::Trial,
    verdict::{Judged, Told, Verdict},
    walker::{Part, Walker},
};

pub(super) struct Course {
    engine: Option<Arc<Engine>>,
    /// `None`: nothing is relayed, or not any more.
    session: Option<Box<Session>>,
    client: IpAddr,
    /// What the endpoints had agreed on.
    subprotocol: Option<String>,
    is_compressed: bool,
    skips: [Skip; 2],
    /// Who has sent a close frame that passed, by direction.
    has_closed: [bool; 2],
}

/// What a session that began anew must not see, because it did not see the beginning.
#[derive(Clone, Copy, Default)]
struct Skip {
    frame: bool,
    message: bool,
}

impl Course {
    /// # Errors
    /// Nothing says under which policy the connection comes.
    pub fn open(trial: &mut Trial, opening: &Opening) -> Result<(Self, Verdict), String> {
        let at_ns = opening.at_ns.unwrap_or(0);
        let Some(request) = &opening.request else {
            let engine = trial.only_engine().cloned().ok_or_else(|| {
                format!(
                    "{} has several policies, and the capture does not say where it went: choose one with --policy",
                    trial.name
                )
            })?;
            let mut course = Self::new(Some(engine), None, opening, false);
            course.reopen(at_ns);
            return Ok((course, Verdict::Passed));
        };
        let mut ears = Ears::default();
        let session = upgrade(trial, opening, request, &mut ears);
        let engine = ears.policy.and_then(|policy| trial.engines.get(policy)).cloned();
        let agreed = opening.answer.as_deref().filter(|_| opening.is_wire).and_then(agreed_compression);
        let was_accepted = opening.answer.as_deref().is_some_and(|answer| status(answer) == 101);
        let opens = session.is_some() || (trial.goes_on && was_accepted);
        let mut course = Self::new(engine, session, opening, agreed.is_some());
        match agreed {
            // What was recorded is read as it was agreed on then, whatever this policy would have agreed on.
            Some(without_context) if opens => course.begin(legs(without_context), at_ns),
            _ if opens && course.session.is_none() => course.reopen(at_ns),
            _ => {}
        }
        let told = course.name(trial, ears.told);
        Ok((course, told.map_or(Verdict::Passed, Verdict::Told)))
    }

    fn new(
        engine: Option<Arc<Engine>>,
        session: Option<Box<Session>>,
        opening: &Opening,
        is_compressed: bool,
    ) -> Self {
        let answer = opening.answer.as_deref();
        Self {
            engine,
            session,
            client: opening.client,
            subprotocol: answer.and_then(|answer| field(answer, "sec-websocket-protocol")),
            is_compressed,
            skips: [Skip::default(); 2],
            has_closed: [false; 2],
        }
    }

    fn begin(&mut self, legs: Legs, now_ns: u64) {
        let Some(engine) = &self.engine else { return };
        let mut session = Session::with_compression(Arc::clone(engine), legs, now_ns);
        session.belong_to(self.client);
        if let Some(name) = &self.subprotocol {
            session.agree(name, now_ns);
        }
        self.session = Some(Box::new(session));
    }

    /// Lets the time until `now_ns` pass. What it brought is about a message that has begun in a direction, or about the
    /// connection.
    pub fn wait(
        &mut self,
        trial: &mut Trial,
        now_ns: u64,
        walkers: &[Walker; 2],
    ) -> Option<(Option<Direction>, Told)> {
        loop {
            let session = self.session.as_ref()?;
            let (due_ns, was_closing) = (session.deadline_ns(), session.is_closing());
            if due_ns > now_ns {
                return None;
            }
            let ears = self.with(trial, due_ns, |session, context| session.handle_timeout(context));
            if was_closing {
                self.session = None;
            } else if self.session.as_ref().is_some_and(|session| session.is_closing()) {
                let direction = ears.told.first().and_then(|heard| heard.direction);
                let told = self.name(trial, ears.told).unwrap_or_else(idle);
                self.end(trial, now_ns, walkers);
                return Some((direction, told));
            }
        }
    }

    /// Takes the bytes of `part`; `walkers` have seen it.
    pub fn feed(
        &mut self,
        trial: &mut Trial,
        at: (Direction, u64),
        bytes: &[u8],
        part: &Part,
        walkers: &[Walker; 2],
        judged: &mut Judged,
    ) {
        let (direction, now_ns) = at;
        if self.session.is_none() || self.skips[direction.index()].takes(part) {
            return;
        }
        let mut input = bytes.to_vec();
        let ears =
            self.with(trial, now_ns, |session, context| relay(session, direction, &mut input, context));
        let has_ended = ears.ends();
        judged.hear(ears.passed, ears.size);
        if part.ends && part.opcode == Opcode::Close.bits() && !has_ended {
            // One that passes is told at the connection's end only.
            judged.hear(!std::mem::replace(&mut self.has_closed[direction.index()], true), None);
        }
        if let Some(told) = self.name(trial, ears.told) {
            judged.tell(told);
        }
        if has_ended {
            self.end(trial, now_ns, walkers);
        }
    }

    /// The connection was closed. To go on, a session begins anew: with what comes next, since what has begun is lost.
    fn end(&mut self, trial: &Trial, now_ns: u64, walkers: &[Walker; 2]) {
        self.session = None;
        // Compressed messages refer to those before them.
        if trial.goes_on && !self.is_compressed {
            self.reopen(now_ns);
            self.skips = walkers
                .each_ref()
                .map(|walker| Skip { frame: walker.is_in_frame(), message: walker.is_in_message() });
        }
    }

    fn reopen(&mut self, now_ns: u64) {
        self.session = None;
        self.begin(Legs::default(), now_ns);
        self.has_closed = [false; 2];
    }

    fn with(
        &mut self,
        trial: &mut Trial,
        now_ns: u64,
        act: impl FnOnce(&mut Session, &mut Context<'_, Ears>),
    ) -> Ears {
        let mut ears = Ears::default();
        if let Some(session) = &mut self.session {
            let began = Instant::now();
            act(session, &mut Context { now_ns, worker: &mut trial.worker, sink: &mut ears });
            trial.tally.spent += began.elapsed();
        }
        ears
    }

    /// The first of what was heard is what would be carried out.
    fn name(&self, trial: &Trial, heard: Vec<Heard>) -> Option<Told> {
        let fixed;
        let rules = match &self.engine {
            Some(engine) => engine.rules(),
            None => {
                fixed = RuleTable::default();
                &fixed
            }
        };
        let own_mode = self.engine.as_ref().map_or(Mode::Enforce, |engine| trial.mode(engine.index()));
        let mut heard = heard.into_iter();
        let first = heard.next()?;
        let mode = if first.mode == Mode::Enforce { Mode::Enforce } else { own_mode };
        Some(Told {
            rule: rules.name(first.rule).to_owned(),
            outcome: first.outcome,
            mode,
            detail: first.detail,
            also: heard.map(|heard| rules.name(heard.rule).to_owned()).collect(),
        })
    }

    /// Messages are relayed.
    pub fn is_open(&self) -> bool {
        self.session.is_some()
    }

    /// The policy that it came under.
    pub fn policy(&self) -> Option<&str> {
        self.engine.as_ref().map(|engine| engine.name())
    }
}

impl Skip {
    fn takes(&mut self, part: &Part) -> bool {
        let takes = self.frame || (self.message && !part.is_control());
        if takes && part.ends_frame {
            self.frame = false;
        }
        if takes && part.ends && !part.is_control() {
            self.message = false;
        }
        takes
    }
}

fn upgrade(trial: &mut Trial, opening: &Opening, request: &[u8], ears: &mut Ears) -> Option<Box<Session>> {
    let routes = trial.routes(opening.port).to_vec();
    let place = Place {
        routes: &routes,
        engines: &trial.engines,
        client: opening.client,
        trusted: &[],
        is_tls: false,
        full: None,
    };
    let context = &mut Context { now_ns: opening.at_ns.unwrap_or(0), worker: &mut trial.worker, sink: ears };
    let mut upgrade = Upgrade::default();
    let RequestStep::Connect { request: upstream, .. } = upgrade.handle_request(request, place, context)
    else {
        return None;
    };
    let answer = retold(opening.answer.as_deref()?, request, &upstream);
    match upgrade.handle_response(&answer, context) {
        ResponseStep::Open { session, .. } => Some(session),
        ResponseStep::More | ResponseStep::Refused(_) => None,
    }
}

/// What leaves is of no interest: nobody receives it.
fn relay(session: &mut Session, direction: Direction, input: &mut [u8], context: &mut Context<'_, Ears>) {
    let mut at = 0;
    loop {
        let step = session.handle_input(direction, &mut input[at..], context);
        at += step.consumed;
        match step.transmit {
            Transmit::Owned(frame) => context.worker.recycle(frame.into_parts().0),
            Transmit::InPlace(_) => {}
            Transmit::Nothing if at == input.len() => return,
            Transmit::Nothing => {}
        }
    }
}

fn legs([client, server]: [bool; 2]) -> Legs {
    let mut legs = Legs { client: Some(Default::default()), server: Some(Default::default()) };
    for leg in [&mut legs.client, &mut legs.server].into_iter().flatten() {
        leg.by_client.no_context_takeover = client;
        leg.by_server.no_context_takeover = server;
    }
    legs
}

/// No rule says so, and no record: the connection just ends.
fn idle() -> Told {
    Told {
        rule: "limits/idle-timeout-s".to_owned(),
        outcome: Outcome::Message(Action::Close(CloseCode::GOING_AWAY)),
        mode: Mode::Enforce,
        detail: "no traffic for longer than the limit".to_owned(),
        also: Vec::new(),
    }
}
