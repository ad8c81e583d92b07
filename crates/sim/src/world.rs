//! One connection, played from its seed.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use wsi_inspect::{Condition, Context, Engine, Role, Session, Transmit, Worker};
use wsi_policy::Direction;

use crate::{
    checker::{self, Checker},
    course::Moment,
    link::Link,
    oracle::Oracle,
    peer::{self, Written},
    random::Random,
    receiver::Receiver,
    scenario::{Scenario, flow_from, flow_to, sender},
    told::Told,
};

const MILLISECOND: u64 = 1_000_000;
/// Each peer, and the direction that it receives.
const LEGS: [(Role, Direction); 2] =
    [(Role::Client, Direction::ToClient), (Role::Server, Direction::ToServer)];
/// More steps than any connection takes: a run that passes it spins.
const STEPS_MAX: usize = 200_000;
/// Longer than any budget.
const LEAP_NS: u64 = 60 * MILLISECOND;
/// What goes wrong in the inspector; other conditions lie in what the peers send.
const OURS: [Condition; 2] = [Condition::OverBudget, Condition::ScratchExhausted];

/// A session, its links, and all that came of it. Arrays are by [`Direction::index`].
#[derive(Debug)]
pub struct World {
    pub session: Session,
    pub worker: Worker,
    pub told: Told,
    pub receivers: [Receiver; 2],
    engine: Arc<Engine>,
    links: [Link; 2],
    now_ns: u64,
    /// By how much the clock leaps when somebody asks for the time within a message.
    leap_ns: Rc<Cell<u64>>,
    condition: Option<Condition>,
}

/// Plays `seed`; gives what was told.
///
/// # Errors
/// What went wrong, with the seed.
pub fn run(seed: u64) -> Result<(Scenario, Told), String> {
    let scenario = Scenario::new(seed);
    // A panic has said what and where; the seed is still to be told.
    let played = catch_unwind(AssertUnwindSafe(|| play(seed, &scenario)));
    match played.unwrap_or_else(|_| Err("it panics".into())) {
        Ok(told) => Ok((scenario, told)),
        Err(error) => Err(format!("seed {seed}: {error}; play it again with: cargo xtask sim --seed {seed}")),
    }
}

fn play(seed: u64, scenario: &Scenario) -> Result<Told, String> {
    let mut random = Random::new(seed, 2);
    let written = Direction::BOTH.map(|direction| {
        let flow = flow_from(&scenario.legs, direction);
        peer::write(direction, &scenario.sends[direction.index()], flow, &mut random)
    });
    let mut oracle = Oracle::new(scenario, &written);
    let mut world = World::new(scenario, written, &mut random)?;
    let mut checker = Checker::default();
    for _ in 0..STEPS_MAX {
        if world.session.is_over() {
            world.take_replies()?;
            world.session.end(&mut world.told);
            checker::check_end(&world, &oracle)?;
            let stats = &world.worker.stats()[0];
            world.told.replies = (stats.replies_sent, stats.replies_omitted);
            world.told.rewritten = stats.rewritten;
            return Ok(world.told);
        }
        world.step(scenario, &mut oracle, &mut random)?;
        checker.check_step(&world, &oracle, scenario)?;
    }
    Err(format!("it does not end in {STEPS_MAX} steps"))
}

impl World {
    fn new(scenario: &Scenario, written: [Written; 2], random: &mut Random) -> Result<Self, String> {
        let engine = Arc::new(Engine::compile(&scenario.policy, 0).map_err(|error| error.to_string())?);
        let leap_ns = Rc::new(Cell::new(0));
        let clock = {
            let (leap_ns, asked_ns) = (Rc::clone(&leap_ns), Cell::new(0));
            move || {
                asked_ns.set(asked_ns.get() + leap_ns.get());
                asked_ns.get()
            }
        };
        let worker = Worker::new([&*engine], [7; 32], Box::new(clock)).map_err(|error| error.to_string())?;
        Ok(Self {
            session: Session::with_compression(Arc::clone(&engine), scenario.legs, 0),
            worker,
            told: Told::new(Arc::clone(&engine)),
            receivers: Direction::BOTH
                .map(|direction| Receiver::new(direction, flow_to(&scenario.legs, direction))),
            engine,
            links: written.map(|written| Link::new(written, random)),
            now_ns: 0,
            leap_ns,
            condition: None,
        })
    }

    fn step(
        &mut self,
        scenario: &Scenario,
        oracle: &mut Oracle<'_>,
        random: &mut Random,
    ) -> Result<(), String> {
        let direction = random.pick(&Direction::BOTH);
        if scenario.is_unsteady && random.one_in(10) {
            let condition = if random.one_in(2) { None } else { Some(random.pick(&OURS)) };
            self.set_condition(condition)?;
        }
        if random.one_in(200) {
            // The receiver takes nothing for a while.
            self.session.pause(direction);
            oracle.pause(direction);
            self.now_ns += random.pick(&[1, 3_000, 6_000]) * MILLISECOND;
        }
        self.pass_time(scenario.is_slow, oracle, random);
        let link = &mut self.links[direction.index()];
        if random.one_in(1_500) {
            self.disturb(direction, oracle, random);
        } else if !link.is_exhausted() {
            let segment = link.deliver(random);
            self.receive(direction, &segment, !random.one_in(3))?;
            let moment = Moment { now_ns: self.now_ns, condition: self.condition };
            oracle.deliver(direction, segment.len(), moment, self.session.is_over());
        } else if link.is_broken() || self.links.iter().all(Link::is_exhausted) {
            // All has been said, or a peer is gone.
            let role = sender(direction);
            self.with(|session, context| session.handle_end(role, context));
            oracle.end(role, self.now_ns);
        }
        if random.one_in(3) {
            self.take_replies()?;
        }
        for (role, direction) in LEGS {
            if let Some(frame) = self.session.poll_close(role, &mut self.worker) {
                self.receivers[direction.index()].read(frame.bytes())?;
            }
        }
        Ok(())
    }

    /// Both peers take what they are to be told of messages that were dropped.
    fn take_replies(&mut self) -> Result<(), String> {
        for (role, direction) in LEGS {
            while let Some(frame) = self.session.poll_reply(role, self.now_ns, &mut self.worker) {
                self.receivers[direction.index()].read(frame.bytes())?;
            }
        }
        Ok(())
    }

    /// The process ends, or its memory does, or the receiver reads nothing for too long.
    fn disturb(&mut self, direction: Direction, oracle: &mut Oracle<'_>, random: &mut Random) {
        match random.below(3) {
            0 => {
                self.session.drain(self.now_ns);
                oracle.close_both(1001, self.now_ns);
            }
            1 => {
                self.with(|session, context| session.handle_memory_max(direction, context));
                oracle.run_out_of_memory(direction, self.now_ns);
            }
            _ => {
                let receiver = sender(direction.reverse());
                self.with(|session, context| session.handle_stalled(receiver, context));
                oracle.stall(direction, self.now_ns);
            }
        }
    }

    fn pass_time(&mut self, is_slow: bool, oracle: &mut Oracle<'_>, random: &mut Random) {
        let pause = if random.one_in(1_000) {
            random.pick(&[4_990, 20_000, 20_000, 61_000, 250_000])
        } else if is_slow && !oracle.is_open() && random.one_in(12) {
            // Long enough for memory to be given back, between messages.
            61_000
        } else {
            random.pick(&[0, 0, 1, 5])
        };
        self.now_ns += pause * MILLISECOND;
        if self.now_ns >= self.session.deadline_ns() {
            self.with(|session, context| session.handle_timeout(context));
        }
        oracle.pass_time(self.now_ns);
    }

    /// Puts the inspection out of order in one way, or in order. A condition that is new has to be made here or by the peers.
    fn set_condition(&mut self, condition: Option<Condition>) -> Result<(), String> {
        self.leap_ns.set(0);
        self.worker.adopt(&self.engine).map_err(|error| error.to_string())?;
        match condition {
            None => {}
            Some(Condition::OverBudget) => self.leap_ns.set(LEAP_NS),
            Some(Condition::ScratchExhausted) => self.worker.lose_scratch(),
            // What the peers send makes it: see `scenario::DEEP` and `scenario::UNDECODABLE`.
            Some(Condition::OverDepth | Condition::Undecodable) => {}
        }
        self.condition = condition;
        Ok(())
    }

    /// Gives the session a segment as a data plane would, whose sender takes answers meanwhile or not.
    fn receive(&mut self, direction: Direction, segment: &[u8], takes_replies: bool) -> Result<(), String> {
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
            let is_idle = sent.is_none() && at == input.len();
            if let Some(sent) = sent {
                // Before any answer: what is compressed later may refer to it.
                self.receivers[direction.index()]
                    .read(&sent)
                    .map_err(|error| format!("{}: {error}", direction.name()))?;
            }
            if takes_replies {
                self.take_replies()?;
            }
            if is_idle {
                return Ok(());
            }
        }
    }

    fn with<T>(&mut self, act: impl FnOnce(&mut Session, &mut Context<'_, Told>) -> T) -> T {
        let mut context = Context { now_ns: self.now_ns, worker: &mut self.worker, sink: &mut self.told };
        act(&mut self.session, &mut context)
    }
}
