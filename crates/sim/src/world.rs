//! One connection, played from its seed.

use std::{cell::Cell, rc::Rc, sync::Arc};

use wsi_inspect::{Context, Engine, Event, EventSink, Role, Session, Transmit, Worker};
use wsi_policy::Direction;

use crate::{
    checker,
    link::Link,
    oracle::{self, Expected},
    peer,
    random::Random,
    scenario::{Scenario, sender},
};

const MILLISECOND: u64 = 1_000_000;
/// More steps than any connection takes: a run that passes it spins.
const STEPS_MAX: usize = 200_000;

/// A session, its links, and all that came of it.
pub struct World {
    session: Session,
    worker: Worker,
    told: Told,
    links: [Link; 2],
    received: [Vec<u8>; 2],
    now: Rc<Cell<u64>>,
    has_timed_out: bool,
    has_drained: bool,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("told", &self.told).field("links", &self.links).finish_non_exhaustive()
    }
}

/// Counts of what the session told.
#[derive(Debug, Default)]
pub struct Told {
    /// By [`Direction::index`].
    pub verdicts: [usize; 2],
    pub ends: usize,
}

impl EventSink for Told {
    fn policy_chosen(&mut self, _: usize) {}

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Verdict(verdict) => {
                if let Some(direction) = verdict.direction {
                    self.verdicts[direction.index()] += 1;
                }
            }
            Event::Close { .. } => self.ends += 1,
            _ => {}
        }
    }
}

/// Plays `seed`.
///
/// # Errors
/// What went wrong, with the seed.
pub fn run(seed: u64) -> Result<(), String> {
    play(seed)
        .map_err(|error| format!("seed {seed}: {error}; play it again with: cargo xtask sim --seed {seed}"))
}

fn play(seed: u64) -> Result<(), String> {
    let scenario = Scenario::new(seed);
    let expected = [0, 1].map(|direction| oracle::expect(&scenario.policy, &scenario.sends[direction]));
    let mut random = Random::new(seed, 2);
    let mut world = World::new(&scenario, &mut random)?;
    for _ in 0..STEPS_MAX {
        if world.session.is_over() {
            world.session.end(&mut world.told);
            return checker::check_end(&world, &expected);
        }
        world.step(&mut random);
        checker::check_step(&world, &expected).map_err(|error| explain(&error, &scenario, &expected))?;
    }
    Err(format!("it does not end in {STEPS_MAX} steps"))
}

fn explain(error: &str, scenario: &Scenario, expected: &[Expected; 2]) -> String {
    let counts = [0, 1].map(|at| (scenario.sends[at].len(), expected[at].arrives.len(), expected[at].end));
    format!("{error} (sent, arriving, end: {counts:?})")
}

impl World {
    fn new(scenario: &Scenario, random: &mut Random) -> Result<Self, String> {
        let engine = Arc::new(Engine::compile(&scenario.policy, 0).map_err(|error| error.to_string())?);
        let now = Rc::new(Cell::new(0));
        // Whoever asks for the time within a message sees some of it pass.
        let clock = {
            let now = Rc::clone(&now);
            move || {
                now.set(now.get() + 1);
                now.get()
            }
        };
        let worker = Worker::new([&*engine], [7; 32], Box::new(clock)).map_err(|error| error.to_string())?;
        let links = Direction::BOTH.map(|direction| {
            let bytes = peer::write(direction, &scenario.sends[direction.index()], random);
            Link::new(bytes, random)
        });
        Ok(Self {
            session: Session::new(engine, 0),
            worker,
            told: Told::default(),
            links,
            received: Default::default(),
            now,
            has_timed_out: false,
            has_drained: false,
        })
    }

    pub fn told(&self) -> &Told {
        &self.told
    }

    /// What the receiver of `direction` has got.
    pub fn received(&self, direction: Direction) -> &[u8] {
        &self.received[direction.index()]
    }

    pub fn buffered_size(&self) -> usize {
        self.session.buffered_size()
    }

    pub fn has_timed_out(&self) -> bool {
        self.has_timed_out
    }

    /// Somebody has closed, vanished, waited too long or been condemned.
    pub fn is_closing(&self) -> bool {
        self.session.is_closing()
    }

    /// Something beside the two scripts has ended it.
    pub fn was_disturbed(&self) -> bool {
        self.has_timed_out || self.has_drained || self.links.iter().any(Link::is_broken)
    }

    fn step(&mut self, random: &mut Random) {
        let direction = random.pick(&Direction::BOTH);
        self.pass_time(random);
        if random.one_in(3_000) {
            self.has_drained = true;
            self.session.drain(self.now.get());
        } else if !self.links[direction.index()].is_exhausted() {
            let segment = self.links[direction.index()].deliver(random);
            self.receive(direction, &segment);
        } else if self.links.iter().all(Link::is_exhausted) || self.links[direction.index()].is_broken() {
            // All has been said, or a peer is gone.
            let role = sender(direction);
            self.with(|session, context| session.handle_end(role, context));
        }
        for (role, direction) in [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)] {
            if let Some(frame) = self.session.poll_close(role, &mut self.worker) {
                self.received[direction.index()].extend_from_slice(frame.bytes());
            }
        }
    }

    fn pass_time(&mut self, random: &mut Random) {
        let pause = if random.one_in(2_000) { 20_000 } else { random.pick(&[0, 0, 1, 5]) };
        self.now.set(self.now.get() + pause * MILLISECOND);
        if self.now.get() >= self.session.deadline_ns() {
            self.has_timed_out = true;
            self.with(|session, context| session.handle_timeout(context));
        }
    }

    /// Gives the session a segment as a data plane would.
    fn receive(&mut self, direction: Direction, segment: &[u8]) {
        let mut input = segment.to_vec();
        let mut at = 0;
        loop {
            let (consumed, sent) = self.with(|session, context| {
                let step = session.handle_input(direction, &mut input[at..], context);
                let sent = match step.transmit {
                    Transmit::Nothing => None,
                    Transmit::InPlace(range) => Some(input[at..][range].to_vec()),
                    Transmit::Owned(frame) => Some(frame.bytes().to_vec()),
                };
                (step.consumed, sent)
            });
            at += consumed;
            let Some(sent) = sent else {
                if at == input.len() {
                    return;
                }
                continue;
            };
            self.received[direction.index()].extend(sent);
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Session, &mut Context<'_, Told>) -> T) -> T {
        let mut context = Context { now_ns: self.now.get(), worker: &mut self.worker, sink: &mut self.told };
        act(&mut self.session, &mut context)
    }
}
