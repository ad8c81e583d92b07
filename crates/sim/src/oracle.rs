//! What must come of a connection: both directions, who is closed with what, and every deadline.

use wsi_inspect::{Initiator, Totals};
use wsi_policy::{Direction, Policy};
use wsi_ws::Role;

use crate::{
    course::{Course, End, Moment},
    memory::Memory,
    peer::Written,
    scenario::{MESSAGE_TIMEOUT_MS, Scenario, sender},
    told::Ended,
};

const MILLISECOND: u64 = 1_000_000;
const CLOSE_TIMEOUT_NS: u64 = 5_000 * MILLISECOND;

/// Arrays are by [`Direction::index`].
#[derive(Debug)]
pub struct Oracle<'a> {
    policy: &'a Policy,
    pub courses: [Course<'a>; 2],
    /// Of both directions: an order of messages goes over both.
    memory: Memory<'a>,
    delivered: [usize; 2],
    /// Since when a message or a frame is not complete.
    open_since_ns: [Option<u64>; 2],
    /// Nothing more is relayed.
    is_closed: [bool; 2],
    /// What the receiver of a direction is closed with.
    pub closes: [Option<u16>; 2],
    closing: Option<(Option<u16>, Initiator, u64)>,
    active_ns: u64,
}

impl<'a> Oracle<'a> {
    pub fn new(scenario: &'a Scenario, written: &[Written; 2]) -> Self {
        let course = |direction: Direction| {
            let at = direction.index();
            Course::new(&scenario.policy, direction, &scenario.sends[at], &written[at])
        };
        Self {
            policy: &scenario.policy,
            courses: Direction::BOTH.map(course),
            memory: Memory::new(&scenario.policy),
            delivered: [0; 2],
            open_since_ns: [None; 2],
            is_closed: [false; 2],
            closes: [None; 2],
            closing: None,
            active_ns: 0,
        }
    }

    /// `size` bytes more were handed to the session, which is over afterwards or not.
    pub fn deliver(&mut self, direction: Direction, size: usize, moment: Moment, is_over: bool) {
        let at = direction.index();
        self.active_ns = moment.now_ns;
        self.delivered[at] += size;
        if self.is_closed[at] {
            return;
        }
        let course = &mut self.courses[at];
        course.advance(self.delivered[at], moment, &mut self.memory);
        if course.end.is_none() && is_over {
            course.end_early();
        }
        let since_ns = self.open_since_ns[at].filter(|_| !course.has_completed);
        self.open_since_ns[at] =
            course.is_open(self.delivered[at]).then(|| since_ns.unwrap_or(moment.now_ns));
        match course.end {
            None => {}
            Some(End::Passed(code)) => {
                self.closes[at] = Some(code);
                self.is_closed[at] = true;
                let initiator = initiator(sender(direction));
                self.closing.get_or_insert((Some(code), initiator, moment.now_ns));
            }
            Some(End::Verdict(code)) => self.close_both(code, moment.now_ns),
        }
    }

    /// The receiver of `direction` does not take what it is sent: the time of the message that is open begins anew.
    pub fn pause(&mut self, direction: Direction) {
        self.open_since_ns[direction.index()] = None;
    }

    /// `role` is gone.
    pub fn end(&mut self, role: Role, now_ns: u64) {
        let (direction, code) = match role {
            Role::Client => (Direction::ToServer, 1001),
            Role::Server => (Direction::ToClient, 1011),
        };
        let is_ours = self.closing.is_some_and(|(_, initiator, _)| initiator == Initiator::Inspector);
        if self.is_closed[direction.index()] || is_ours {
            return;
        }
        if self.closing.is_none() {
            self.closes[direction.index()] = Some(code);
            self.closing = Some((None, initiator(role), now_ns));
        }
        self.is_closed = [true; 2];
    }

    /// What is held for `direction` is too much.
    pub fn run_out_of_memory(&mut self, direction: Direction, now_ns: u64) {
        self.courses[direction.index()].fault("limits/max-memory", 1013);
        self.close_both(1013, now_ns);
    }

    /// The receiver of `direction` has read nothing for too long: it is at fault, and the sender is told that it is gone.
    pub fn stall(&mut self, direction: Direction, now_ns: u64) {
        self.courses[direction.index()].fault("limits/write-timeout-ms", 1008);
        let is_told = !self.is_closed[direction.reverse().index()];
        self.close_both(1008, now_ns);
        if is_told {
            self.closes[direction.reverse().index()] = Some(1001);
        }
    }

    pub fn close_both(&mut self, code: u16, now_ns: u64) {
        for (close, is_closed) in self.closes.iter_mut().zip(self.is_closed) {
            if !is_closed {
                *close = Some(code);
            }
        }
        self.closing = Some((Some(code), Initiator::Inspector, now_ns));
        self.is_closed = [true; 2];
    }

    /// When something happens of itself.
    pub fn deadline_ns(&self) -> u64 {
        if let Some((_, _, since_ns)) = self.closing {
            return since_ns + CLOSE_TIMEOUT_NS;
        }
        let idle_ns = self.active_ns + self.policy.limits.idle_timeout_s * 1_000 * MILLISECOND;
        let messages = self.open_since_ns.iter().flatten().map(|since_ns| since_ns + message_timeout_ns());
        messages.fold(idle_ns, u64::min)
    }

    /// It is `now_ns`: what is due happens.
    pub fn pass_time(&mut self, now_ns: u64) {
        if now_ns < self.deadline_ns() {
            return;
        }
        if self.closing.is_some() {
            self.is_closed = [true; 2];
            return;
        }
        let is_late = |since: &Option<u64>| since.is_some_and(|since| now_ns >= since + message_timeout_ns());
        match self.open_since_ns.iter().position(is_late) {
            Some(at) => {
                self.courses[at].fault("limits/message-timeout-ms", 1008);
                self.close_both(1008, now_ns);
            }
            None => self.close_both(1001, now_ns),
        }
    }

    /// Whether a message or a frame is not complete.
    pub fn is_open(&self) -> bool {
        self.open_since_ns.iter().any(Option::is_some)
    }

    pub fn is_over(&self) -> bool {
        self.is_closed == [true; 2]
    }

    /// What is told at the end.
    pub fn ended(&self) -> Ended {
        let (code, initiator) =
            self.closing.map_or((None, Initiator::Inspector), |(code, initiator, _)| (code, initiator));
        let inspected = self.courses.each_ref().map(|course| course.inspected);
        let totals = Totals {
            messages: inspected.map(|(messages, _)| messages),
            bytes: inspected.map(|(_, bytes)| bytes),
        };
        Ended { code, initiator, totals }
    }

    pub fn uninspected(&self) -> u64 {
        self.courses.iter().map(|course| course.uninspected).sum()
    }
}

fn message_timeout_ns() -> u64 {
    MESSAGE_TIMEOUT_MS * MILLISECOND
}

fn initiator(role: Role) -> Initiator {
    match role {
        Role::Client => Initiator::Client,
        Role::Server => Initiator::Server,
    }
}
