//! What must come of one direction's script, worked out the plain way: whole messages, one after the other, with nothing of the
//! product. It goes along with what has been delivered, because rates and failures depend on when.

use wsi_inspect::{Condition, Outcome};
use wsi_policy::{Action, CloseCode, ContentFilter, Direction, FailureMode, Mode, Policy, Rate};

use wsi_ws::Opcode;

use crate::{
    peer::{Frame, PING_BETWEEN, Written},
    receiver::Got,
    scenario::{
        DEEP, FRAGMENTS_MAX, HELD_SIZE_MAX, MESSAGE_SIZE_MAX, Sent, TOKEN, TOKEN_ESCAPED, UNDECODABLE, UNSEEN,
    },
    told::Verdict,
};

/// Messages above this are inspected under the budget.
const BUDGET_SIZE_MIN: usize = 4096;

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

/// One direction.
#[derive(Debug)]
pub struct Course<'a> {
    policy: &'a Policy,
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
            owed_replies: 0,
            inspected: (0, 0),
            has_completed: false,
        }
    }

    /// The first `delivered` bytes have been delivered, the last of them at `moment`.
    pub fn advance(&mut self, delivered: usize, moment: Moment) {
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
            self.complete(sent, frame, is_last, moment);
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
        let held_max = match (self.filter, self.policy.mode) {
            (Some(_), Mode::Enforce) => MESSAGE_SIZE_MAX,
            _ => HELD_SIZE_MAX,
        };
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

    fn complete(&mut self, sent: &Sent, frame: Frame, is_last: bool, moment: Moment) {
        match sent {
            Sent::Message { .. } if frame.opcode >= 8 => self.control(frame.opcode, PING_BETWEEN, moment),
            Sent::Message { opcode, payload, .. } if is_last => {
                self.message(opcode.bits(), payload, moment);
            }
            Sent::Message { .. } | Sent::Fault { .. } => {}
            Sent::Control { opcode, payload } => self.control(opcode.bits(), payload, moment),
            Sent::Close { code, reason } => {
                // It can't be withheld: what would be dropped closes.
                if reason.is_empty() || self.scan(frame.opcode, reason.as_bytes(), moment).is_some() {
                    self.end = Some(End::Passed(*code));
                }
            }
        }
    }

    fn control(&mut self, opcode: u8, payload: &[u8], moment: Moment) {
        if !self.control.take(1, moment.now_ns) {
            return self.fault("limits/control-frames-per-second", 1008);
        }
        let passes = if payload.is_empty() { Some(Vec::new()) } else { self.scan(opcode, payload, moment) };
        if let Some(payload) = passes {
            self.arrives.push(Got::Control { opcode, payload });
        }
    }

    fn message(&mut self, opcode: u8, payload: &[u8], moment: Moment) {
        self.inspected = (self.inspected.0 + 1, self.inspected.1 + payload.len() as u64);
        if self.filter.is_some() && payload.len() > MESSAGE_SIZE_MAX {
            // Only detect mode holds it.
            self.tell("content-filter-1/max-message-size", close(1009), Mode::Detect);
        }
        let keeps_rate = self.rate(payload.len(), moment.now_ns);
        if let Some(passes) = keeps_rate.then(|| self.scan(opcode, payload, moment)).flatten() {
            self.passed_sizes.push(payload.len());
            self.arrives.push(Got::Message { opcode, payload: passes });
        } else if self.end.is_none() && self.is_answered() {
            self.owed_replies += 1;
        }
    }

    /// Whether the rule that broke last has something to say to the sender.
    fn is_answered(&self) -> bool {
        let is_rate = self.verdicts.last().is_some_and(|verdict| verdict.rule == "rate-limit-1");
        let of_rate = || self.policy.rate_limits.first()?.reply.as_ref();
        let of_filter = || self.filter?.reply.as_ref();
        if is_rate { of_rate().is_some() } else { of_filter().is_some() }
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

    /// Content and budget; what passes of the message.
    fn scan(&mut self, opcode: u8, payload: &[u8], moment: Moment) -> Option<Vec<u8>> {
        let is_redacted = self.policy.mode == Mode::Enforce
            && moment.condition != Some(Condition::ScratchExhausted)
            && contains(payload, TOKEN)
            && self.filter.is_some_and(|filter| filter.action == Action::Redact);
        let told = self.verdicts.len();
        if !self.inspect(opcode, payload, is_redacted, moment) {
            return None;
        }
        if !is_redacted {
            return Some(payload.to_vec());
        }
        let rule = "content-filter-1/block-patterns-1";
        if self.verdicts.len() > told {
            // It could not be inspected to its end, and would have passed all the same, if there were nothing to hide in it.
            self.verdicts.truncate(told);
            self.uninspected -= 1;
            self.redact_failures += 1;
            let is_close = opcode == Opcode::Close.bits();
            self.carry_out(
                rule,
                if is_close { Action::Close(CloseCode::POLICY_VIOLATION) } else { Action::Drop },
            );
            return None;
        }
        self.redacted += 1;
        self.carry_out(rule, Action::Redact);
        Some(redacted(payload, opcode))
    }

    /// Whether the message passes, redacted or not.
    fn inspect(&mut self, opcode: u8, payload: &[u8], is_redacted: bool, moment: Moment) -> bool {
        let mut alert = false;
        if let Some(filter) = self.filter {
            if moment.condition == Some(Condition::ScratchExhausted) {
                return self.could_not_inspect("could-not-inspect/scratch-exhausted");
            }
            if contains(payload, TOKEN) || contains(payload, TOKEN_ESCAPED) {
                let action = match filter.action {
                    Action::Drop if opcode == Opcode::Close.bits() => {
                        Action::Close(CloseCode::POLICY_VIOLATION)
                    }
                    action => action,
                };
                alert = action == Action::Alert;
                if !alert && !is_redacted && !self.carry_out("content-filter-1/block-patterns-1", action) {
                    return false;
                }
            } else if contains(payload, DEEP) {
                return self.could_not_inspect("could-not-inspect/over-depth");
            }
        }
        // Patterns come before the budget: what they stop is stopped.
        if payload.len() > BUDGET_SIZE_MIN && moment.condition == Some(Condition::OverBudget) {
            return self.could_not_inspect("could-not-inspect/over-budget");
        }
        let is_validated = opcode == Opcode::Binary.bits() && !self.policy.validations.is_empty();
        if is_validated && payload.first() == Some(&UNDECODABLE) {
            // Where no pattern wants what is in it, it only breaks a schema.
            return match self.filter {
                Some(_) => self.could_not_inspect("could-not-inspect/undecodable"),
                None => self.carry_out("validation-1", Action::Alert),
            };
        }
        !alert || self.carry_out("content-filter-1/block-patterns-1", Action::Alert)
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

/// A token bucket the plain way.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    counts_bytes: bool,
    /// In billionths of a token, so that a nanosecond brings `per_second` of them.
    level: u128,
    updated_ns: u64,
}

impl Bucket {
    const TOKEN: u128 = 1_000_000_000;

    fn new(rate: Rate, counts_bytes: bool) -> Self {
        Self { rate, counts_bytes, level: u128::from(rate.burst) * Self::TOKEN, updated_ns: 0 }
    }

    fn holds(&mut self, size: usize, now_ns: u64) -> bool {
        let came = u128::from(now_ns - self.updated_ns) * u128::from(self.rate.per_second);
        self.level = (self.level + came).min(u128::from(self.rate.burst) * Self::TOKEN);
        self.updated_ns = now_ns;
        self.level >= self.cost(size)
    }

    fn spend(&mut self, size: usize) {
        self.level -= self.cost(size);
    }

    fn take(&mut self, size: usize, now_ns: u64) -> bool {
        let held = self.holds(size, now_ns);
        if held {
            self.spend(size);
        }
        held
    }

    fn cost(&self, size: usize) -> u128 {
        if self.counts_bytes { size as u128 * Self::TOKEN } else { Self::TOKEN }
    }
}

pub fn close(code: u16) -> Outcome {
    Outcome::Message(CloseCode::new(code).map_or(Action::Alert, Action::Close))
}

/// The payload with the token hidden, and what nobody sees behind it: in text by the character, else by the byte.
fn redacted(payload: &[u8], opcode: u8) -> Vec<u8> {
    let start = payload.windows(TOKEN.len()).position(|window| window == TOKEN).unwrap_or(payload.len());
    let unseen = UNSEEN.len_utf8();
    let (mut end, mut count) = (start + TOKEN.len(), TOKEN.len());
    while payload[end..].starts_with(UNSEEN.encode_utf8(&mut [0; 4]).as_bytes()) {
        end += unseen;
        count += if opcode == Opcode::Text.bits() { 1 } else { unseen };
    }
    [&payload[..start], &vec![b'*'; count], &payload[end..]].concat()
}

fn contains(payload: &[u8], needle: &[u8]) -> bool {
    payload.windows(needle.len()).any(|window| window == needle)
}
