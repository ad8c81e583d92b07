//! What stands between the two endpoints of an attack: the engine that `run` would use, without its sockets.

use std::{
    cell::Cell,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
};

use wsi_config::policy::{Action, Direction, PolicyId, Route, UpstreamId};
use wsi_inspect::{
    Context, Engine, Event, EventSink, Outcome, Place, RequestStep, ResponseStep, Role, Session, Transmit,
    Upgrade, Worker,
};

/// A relay under test. One connection at a time; opening one forgets the last.
pub(super) trait Relay {
    /// Lets a client ask for an upgrade with the bytes of `request`, a read each, and the server answer what reaches it.
    fn upgrade(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer;

    /// One read of what the sender of `direction` wrote.
    fn read(&mut self, direction: Direction, bytes: &[u8]);

    /// The sender of `direction` vanishes.
    fn vanish(&mut self, direction: Direction);

    /// Nothing happens until the next deadline.
    fn wait(&mut self);

    /// All bytes that reached the receiver of `direction` since the upgrade.
    fn heard(&self, direction: Direction) -> &[u8];

    /// Every verdict since the upgrade began.
    fn verdicts(&self) -> &[Told];
}

/// What became of an upgrade.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What reached the server, if anything did.
    pub upstream: Option<Vec<u8>>,
    /// What reached the client until the connection was open.
    pub client: Vec<u8>,
    pub is_open: bool,
    /// Paths as they were told to the audit.
    pub paths: Vec<String>,
}

/// A verdict, as the audit is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub rule: String,
    pub direction: Option<Direction>,
    pub outcome: Outcome,
}

impl Told {
    /// A limit of shape or size, whatever is in the message.
    pub fn is_limit(&self) -> bool {
        self.rule.starts_with("limits/") || self.rule.ends_with("/max-message-size")
    }

    pub fn closes(&self) -> bool {
        matches!(self.outcome, Outcome::Message(Action::Close(_)))
    }
}

/// The product.
pub(super) struct Inspected {
    engines: [Arc<Engine>; 1],
    routes: [Route; 1],
    worker: Worker,
    now_ns: Rc<Cell<u64>>,
    session: Option<Box<Session>>,
    sink: Sink,
    heard: [Vec<u8>; 2],
}

struct Sink {
    engine: Arc<Engine>,
    verdicts: Vec<Told>,
    paths: Vec<String>,
}

impl EventSink for Sink {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => self.verdicts.push(Told {
                rule: self.engine.rules().name(verdict.rule).to_owned(),
                direction: verdict.direction,
                outcome: verdict.outcome,
            }),
            Event::Handshake { path, .. } => self.paths.push(path.to_owned()),
            _ => {}
        }
    }
}

impl Inspected {
    /// A relay under `engine`, which is the first of its process. Its time stands still until somebody waits.
    ///
    /// # Errors
    /// Hyperscan's, when scratch space can't be had.
    pub fn new(engine: Arc<Engine>) -> Result<Self, String> {
        let now_ns = Rc::new(Cell::new(0));
        let clock = Rc::clone(&now_ns);
        // Mask keys that can be predicted hurt nobody here, and the same run gives the same bytes.
        let worker = Worker::new([&*engine], [7; 32], Box::new(move || clock.get()))
            .map_err(|error| error.to_string())?;
        let route = Route { path: "/*".into(), host: None, upstream: UpstreamId(0), policy: PolicyId(0) };
        Ok(Self {
            sink: Sink { engine: Arc::clone(&engine), verdicts: Vec::new(), paths: Vec::new() },
            engines: [engine],
            routes: [route],
            worker,
            now_ns,
            session: None,
            heard: Default::default(),
        })
    }

    fn forget(&mut self) {
        self.session = None;
        self.sink.verdicts.clear();
        self.sink.paths.clear();
        self.heard = Default::default();
    }

    fn open(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer {
        let Self { engines, routes, worker, sink, now_ns, .. } = self;
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let place = Place { routes, engines, client, trusted: &[], is_tls: false, full: None };
        let context = &mut Context { now_ns: now_ns.get(), worker, sink };
        let mut upgrade = Upgrade::default();
        let mut told = Answer::default();
        for bytes in request {
            match upgrade.handle_request(bytes, place, context) {
                RequestStep::More => {}
                RequestStep::Refused(refusal) => return Answer { client: refusal, ..told },
                RequestStep::Connect { request, .. } => told.upstream = Some(request),
            }
        }
        let Some(upstream) = &told.upstream else { return told };
        let response = answer(upstream);
        match upgrade.handle_response(&response, context) {
            ResponseStep::More => told,
            ResponseStep::Refused(refusal) => Answer { client: refusal, ..told },
            ResponseStep::Open { response: head, consumed, session } => {
                self.session = Some(session);
                self.read(Direction::ToClient, &response[consumed..]);
                Answer { client: head, is_open: true, ..told }
            }
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut Session, &mut [Vec<u8>; 2], &mut Context<'_, Sink>)) {
        let Some(session) = &mut self.session else { return };
        let now_ns = self.now_ns.get();
        act(
            session,
            &mut self.heard,
            &mut Context { now_ns, worker: &mut self.worker, sink: &mut self.sink },
        );
        for (role, direction) in [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)] {
            if let Some(frame) = session.poll_close(role, &mut self.worker) {
                self.heard[direction.index()].extend(frame.bytes());
            }
        }
    }
}

impl Relay for Inspected {
    fn upgrade(&mut self, request: &[&[u8]], answer: &dyn Fn(&[u8]) -> Vec<u8>) -> Answer {
        self.forget();
        let told = self.open(request, answer);
        Answer { paths: std::mem::take(&mut self.sink.paths), ..told }
    }

    fn read(&mut self, direction: Direction, bytes: &[u8]) {
        let mut input = bytes.to_vec();
        self.with(|session, heard, context| {
            let heard = &mut heard[direction.index()];
            let mut at = 0;
            loop {
                let step = session.handle_input(direction, &mut input[at..], context);
                let is_idle = match step.transmit {
                    Transmit::Nothing => true,
                    Transmit::InPlace(range) => {
                        heard.extend(&input[at..][range]);
                        false
                    }
                    Transmit::Owned(frame) => {
                        heard.extend(frame.bytes());
                        false
                    }
                };
                at += step.consumed;
                if is_idle && at == input.len() {
                    break;
                }
            }
        });
    }

    fn vanish(&mut self, direction: Direction) {
        let role = if direction == Direction::ToServer { Role::Client } else { Role::Server };
        self.with(|session, _, context| session.handle_end(role, context));
    }

    fn wait(&mut self) {
        let Some(session) = &self.session else { return };
        self.now_ns.set(session.deadline_ns().max(self.now_ns.get()));
        self.with(|session, _, context| session.handle_timeout(context));
    }

    fn heard(&self, direction: Direction) -> &[u8] {
        &self.heard[direction.index()]
    }

    fn verdicts(&self) -> &[Told] {
        &self.sink.verdicts
    }
}
