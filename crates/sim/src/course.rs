//! What must come of one direction's script, worked out the plain way: whole messages, one after the other, with nothing of the
//! product. It goes along with what has been delivered, because rates and failures depend on when.

mod inspect;

use wsi_inspect::{Condition, Outcome};
use wsi_policy::{Action, CloseCode, ContentFilter, Direction, FailureMode, Mode, Policy, Rate};

use wsi_ws::Opcode;

use crate::{
    bucket::Bucket,
    document::Document,
    memory::Memory,
    peer::{Frame, PING_BETWEEN, Written},
    receiver::Got,
    scenario::{FRAGMENTS_MAX, HELD_SIZE_MAX, MESSAGE_SIZE_MAX, Sent},
    told::Verdict,
};

/// How a direction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sender closed, and the receiver is told.
    Passed(u16),
    /// The inspector closed, and both are told.
    Verdict(u16),
}

/// When something is delivered, and what of the inspection is out of order then.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub now_ns: u64,
    pub condition: Option<Condition>,
}

/// The frame that has begun breaks a rule: it may end the direction before it is whole.
#[derive(Debug)]
struct Looming {
    rule: String,
    code: u16,
    /// It must, at the latest when it is whole.
    is_certain: bool,
}

/// A message or a control frame as it came.
#[derive(Clone, Copy, Debug)]
struct Message<'m> {
    opcode: Opcode,
    payload: &'m [u8],
    document: Option<&'m Document>,
}

/// One direction.
#[derive(Debug)]
pub struct Course<'a> {
    policy: &'a Policy,
    direction: Direction,
    filter: Option<&'a ContentFilter>,
    action_of_rate: Option<Action>,
    buckets: Vec<Bucket>,
    control: Bucket,
    items: Vec<(&'a Sent, Vec<Frame>)>,
    /// The item and the frame of it that come next, and where that frame begins.
    next: (usize, usize),
    at: usize,
    fragments: usize,
    size_on_wire: usize,
    /// Whether the next frame's header has been looked at.
    has_begun: bool,
    looming: Option<Looming>,
    /// Messages, pings and pongs that arrive, in order.
    pub arrives: Vec<Got>,
    /// Of messages that passed, as they came.
    pub passed_sizes: Vec<usize>,
    pub verdicts: Vec<Verdict>,
    pub end: Option<End>,
    pub uninspected: u64,
    /// Messages and control frames in which something was hidden, and those in which it could not be.
    pub redacted: u64,
    pub redact_failures: u64,
    /// Messages that were changed, and those that could not be.
    pub rewritten: u64,
    pub rewrite_failures: u64,
    /// Messages of which the sender is to be told that they were dropped.
    pub owed_replies: u64,
    /// Messages that were inspected, and their bytes.
    pub inspected: (u64, u64),
    /// An item became whole in the last delivery.
    pub has_completed: bool,
}

impl<'a> Course<'a> {
    pub fn new(policy: &'a Policy, direction: Direction, script: &'a [Sent], written: &Written) -> Self {
        let rate = policy.rate_limits.iter().find(|limit| limit.directions.contains(direction));
        let buckets = rate.map_or_else(Vec::new, |limit| {
            let of = |rate: Option<Rate>, counts_bytes| rate.map(|rate| Bucket::new(rate, counts_bytes));
            [of(limit.rates.messages, false), of(limit.rates.bytes, true)].into_iter().flatten().collect()
        });
        let per_second = policy.limits.control_frames_per_second;
        Self {
            policy,
            direction,
            filter: policy.content_filters.iter().find(|filter| filter.directions.contains(direction)),
            action_of_rate: rate.map(|limit| limit.action),
            buckets,
            control: Bucket::new(Rate { per_second, burst: 2 * per_second }, false),
            items: script.iter().zip(written.items.iter().cloned()).collect(),
            next: (0, 0),
            at: 0,
            fragments: 0,
            size_on_wire: 0,
            has_begun: false,
            looming: None,
            arrives: Vec::new(),
            passed_sizes: Vec::new(),
            verdicts: Vec::new(),
            end: None,
            uninspected: 0,
            redacted: 0,
            redact_failures: 0,
            rewritten: 0,
            rewrite_failures: 0,
            owed_replies: 0,
            inspected: (0, 0),
            has_completed: false,
        }
    }

    /// The first `delivered` bytes have been delivered, the last of them at `moment`.
    pub fn advance(&mut self, delivered: usize, moment: Moment, memory: &mut Memory<'a>) {
        self.has_completed = false;
        while self.end.is_none() && delivered > self.at {
            let Some((sent, frames)) = self.items.get(self.next.0) else { return };
            let (sent, frame, is_last) = (*sent, frames[self.next.1], self.next.1 + 1 == frames.len());
            if !self.has_begun {
                self.has_begun = true;
                self.looming = self.begin(sent, frame, is_last);
            }
            if delivered < frame.end {
                return;
            }
            (self.at, self.has_begun) = (frame.end, false);
            if let Some(looming) = self.looming.take().filter(|looming| looming.is_certain) {
                return self.fault(&looming.rule, looming.code);
            }
            self.complete(sent, frame, is_last, moment, memory);
            self.next = if is_last { (self.next.0 + 1, 0) } else { (self.next.0, self.next.1 + 1) };
            if is_last {
                (self.fragments, self.size_on_wire) = (0, 0);
                self.has_completed = true;
            }
        }
    }

    /// The product has ended the direction: may it, before the frame is whole?
    pub fn end_early(&mut self) {
        if let Some(looming) = self.looming.take() {
            self.fault(&looming.rule, looming.code);
        }
    }

    /// Something has begun and is not complete.
    pub fn is_open(&self, delivered: usize) -> bool {
        delivered > self.at || self.next.1 > 0
    }

    pub fn tell(&mut self, rule: &str, outcome: Outcome, mode: Mode) {
        self.verdicts.push(Verdict { rule: rule.into(), outcome, mode });
    }

    /// A limit or the protocol is broken: no matter of policy.
    pub fn fault(&mut self, rule: &str, code: u16) {
        self.tell(rule, close(code), Mode::Enforce);
        self.end = Some(End::Verdict(code));
    }

    /// What the frame breaks, by its header or by what is in it.
    fn begin(&mut self, sent: &Sent, frame: Frame, is_last: bool) -> Option<Looming> {
        let size_rule =
            || self.filter.map_or("limits/max-message-size", |_| "content-filter-1/max-message-size");
        let held_max = self.size_max();
        let looming =
            |rule: &str, code, is_certain| Some(Looming { rule: rule.to_owned(), code, is_certain });
        match sent {
            Sent::Fault { rule, code, .. } => looming(rule.unwrap_or_else(size_rule), *code, true),
            Sent::Message { payload, is_compressed, .. } if frame.opcode < 8 => {
                self.fragments += 1;
                self.size_on_wire += frame.size;
                // What does not compress grows by a little, which is allowed for.
                let wire_max = if *is_compressed { held_max + held_max / 4 + 64 } else { held_max };
                if self.size_on_wire > wire_max {
                    looming(size_rule(), 1009, true)
                } else if self.fragments > FRAGMENTS_MAX {
                    looming("limits/max-fragments", 1008, true)
                } else if *is_compressed && payload.len() > held_max {
                    // In which fragment it goes too far is the inflater's to say: in the last one at the latest.
                    looming(size_rule(), 1009, is_last)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    fn complete(
        &mut self,
        sent: &Sent,
        frame: Frame,
        is_last: bool,
        moment: Moment,
        memory: &mut Memory<'a>,
    ) {
        match sent {
            Sent::Message { .. } if frame.opcode >= 8 => self.control(Opcode::Ping, PING_BETWEEN, moment),
            Sent::Message { opcode, payload, document, .. } if is_last => {
                let document = document.as_ref();
                let message = Message { opcode: *opcode, payload, document };
                self.message(message, moment, memory);
            }
            Sent::Message { .. } | Sent::Fault { .. } => {}
            Sent::Control { opcode, payload } => self.control(*opcode, payload, moment),
            Sent::Close { code, reason } => {
                // It can't be withheld: what would be dropped closes.
                if reason.is_empty()
                    || self.control_content(Opcode::Close, reason.as_bytes(), moment).is_some()
                {
                    self.end = Some(End::Passed(*code));
                }
            }
        }
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], moment: Moment) {
        if !self.control.take(1, moment.now_ns) {
            return self.fault("limits/control-frames-per-second", 1008);
        }
        let passes =
            if payload.is_empty() { Some(Vec::new()) } else { self.control_content(opcode, payload, moment) };
        if let Some(payload) = passes {
            self.arrives.push(Got::Control { opcode: opcode.bits(), payload });
        }
    }

    fn message(&mut self, message: Message<'_>, moment: Moment, memory: &mut Memory<'a>) {
        let size = message.payload.len();
        self.inspected = (self.inspected.0 + 1, self.inspected.1 + size as u64);
        if self.filter.is_some() && size > MESSAGE_SIZE_MAX {
            // Only detect mode holds it.
            self.tell("content-filter-1/max-message-size", close(1009), Mode::Detect);
        }
        let mut dues = Vec::new();
        let keeps_rate = self.rate(size, moment.now_ns);
        let passes = keeps_rate.then(|| self.inspect(message, moment, memory, &mut dues)).flatten();
        if let Some(payload) = passes {
            self.passed_sizes.push(size);
            self.arrives.push(Got::Message { opcode: message.opcode.bits(), payload });
            dues.into_iter().for_each(|due| memory.remember(due));
        } else if self.end.is_none() && self.is_answered() {
            self.owed_replies += 1;
        }
    }

    /// Whether the rule that broke last has something to say to the sender.
    fn is_answered(&self) -> bool {
        let rule = self.verdicts.last().map_or("", |verdict| &verdict.rule);
        let reply = match rule.split('-').next() {
            Some("rate") => self.policy.rate_limits.first().and_then(|limit| limit.reply.as_ref()),
            Some("content") => self.filter.and_then(|filter| filter.reply.as_ref()),
            _ => None,
        };
        reply.is_some()
    }

    /// Whether the message passes on.
    fn rate(&mut self, size: usize, now_ns: u64) -> bool {
        let Some(action) = self.action_of_rate else { return true };
        if self.buckets.iter_mut().all(|bucket| bucket.holds(size, now_ns)) {
            self.buckets.iter_mut().for_each(|bucket| bucket.spend(size));
            return true;
        }
        self.carry_out("rate-limit-1", action)
    }

    /// The largest message that may be.
    fn size_max(&self) -> usize {
        match (self.filter, self.policy.mode) {
            (Some(_), Mode::Enforce) => MESSAGE_SIZE_MAX,
            _ => HELD_SIZE_MAX,
        }
    }

    /// Whether the message goes on.
    fn carry_out(&mut self, rule: &str, action: Action) -> bool {
        self.tell(rule, Outcome::Message(action), self.policy.mode);
        match (self.policy.mode, action) {
            (Mode::Detect, _) | (_, Action::Alert | Action::Redact) => true,
            (Mode::Enforce, Action::Drop) => false,
            (Mode::Enforce, Action::Close(code)) => {
                self.end = Some(End::Verdict(code.as_u16()));
                false
            }
        }
    }

    fn could_not_inspect(&mut self, rule: &str) -> bool {
        let is_open = self.policy.failure_mode == FailureMode::Open;
        let outcome = if is_open { Outcome::PassedUninspected } else { close(1011) };
        self.tell(rule, outcome, self.policy.mode);
        let passes = is_open || self.policy.mode == Mode::Detect;
        if passes {
            self.uninspected += 1;
        } else {
            self.end = Some(End::Verdict(1011));
        }
        passes
    }
}

pub fn close(code: u16) -> Outcome {
    Outcome::Message(CloseCode::new(code).map_or(Action::Alert, Action::Close))
}
