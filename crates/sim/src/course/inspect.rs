//! What is found in a message, and what passes of it.

use wsi_inspect::Condition;
use wsi_policy::{Action, CloseCode, FailureMode, Mode};
use wsi_ws::Opcode;

use super::{Course, Message, Moment};
use crate::{
    document::Document,
    memory::{Due, Heard, Memory, Opinion},
    scenario::{DEEP, TOKEN, TOKEN_ESCAPED, UNSEEN},
};

/// Messages above this are inspected under the budget.
const BUDGET_SIZE_MIN: usize = 4096;

/// What is found in a message that goes on.
#[derive(Debug, Default)]
struct Found<'a> {
    /// The first rule that only alerts; it is told at the end.
    alert: Option<&'a str>,
    redacts: bool,
}

#[derive(Debug)]
enum Step {
    Passes,
    /// A rule was told.
    Stopped,
    /// It could not be inspected; the rule says why.
    Failed(&'static str),
}

impl Message<'_> {
    fn has_token(self) -> bool {
        let is_said = |document: &Document| document.contains(&String::from_utf8_lossy(TOKEN));
        contains(self.payload, TOKEN)
            || contains(self.payload, TOKEN_ESCAPED)
            || self.document.is_some_and(is_said)
    }
}

impl<'a> Course<'a> {
    /// What passes of a control frame.
    pub(super) fn control_content(
        &mut self,
        opcode: Opcode,
        payload: &[u8],
        moment: Moment,
    ) -> Option<Vec<u8>> {
        let message = Message { opcode, payload, document: None };
        let mut found = Found::default();
        match self.content(message, moment, &mut found) {
            Step::Stopped => None,
            Step::Failed(rule) => self.could_not_inspect(rule).then(|| payload.to_vec()),
            Step::Passes => {
                self.tell_alert(&found);
                if found.redacts { self.redact(message, moment) } else { Some(payload.to_vec()) }
            }
        }
    }

    /// What passes of a message that keeps to its rate, and what is to be remembered of it then.
    pub(super) fn inspect(
        &mut self,
        message: Message<'_>,
        moment: Moment,
        memory: &Memory<'a>,
        dues: &mut Vec<Due>,
    ) -> Option<Vec<u8>> {
        let mut found = Found::default();
        let step = match self.content(message, moment, &mut found) {
            Step::Passes => self.form(message, &mut found),
            step => step,
        };
        let step = match step {
            Step::Passes => self.states(message, moment, memory, &mut found, dues),
            step => step,
        };
        let failure = match step {
            Step::Stopped => return None,
            Step::Failed(_) if found.redacts && self.policy.failure_mode == FailureMode::Open => {
                // It would pass if there were nothing to hide in it.
                self.fail_to_redact(message.opcode);
                return None;
            }
            Step::Failed(rule) if !self.fails_open() => {
                self.could_not_inspect(rule);
                return None;
            }
            Step::Failed(rule) => Some(rule),
            Step::Passes => None,
        };
        // What can't be changed as it should is stopped by that alone.
        let rewritten = self.rewritten(message).ok()?;
        match failure {
            Some(rule) => {
                dues.clear();
                self.could_not_inspect(rule);
            }
            None => self.tell_alert(&found),
        }
        match rewritten {
            Some(payload) => {
                let passes = self.rewritten_content(Message { payload: &payload, ..message }, moment);
                self.rewritten += u64::from(passes.is_some());
                passes
            }
            None if found.redacts => self.redact(message, moment),
            None => Some(message.payload.to_vec()),
        }
    }

    fn fails_open(&self) -> bool {
        self.policy.failure_mode == FailureMode::Open || self.policy.mode == Mode::Detect
    }

    /// Patterns and budget.
    fn content(&mut self, message: Message<'_>, moment: Moment, found: &mut Found<'_>) -> Step {
        let Message { opcode, payload, .. } = message;
        let rule = "content-filter-1/block-patterns-1";
        if let Some(filter) = self.filter {
            if moment.condition == Some(Condition::ScratchExhausted) {
                return Step::Failed("could-not-inspect/scratch-exhausted");
            }
            let is_enforced = self.policy.mode == Mode::Enforce;
            if message.has_token() {
                match filter.action {
                    Action::Alert => found.alert = Some(rule),
                    Action::Redact if is_enforced => found.redacts = true,
                    action if !self.carry_out(rule, carried_out(opcode, action)) => return Step::Stopped,
                    _ => {}
                }
            } else if contains(payload, DEEP) {
                return Step::Failed("could-not-inspect/over-depth");
            }
        }
        // Patterns come before the budget: what they stop is stopped.
        if payload.len() > BUDGET_SIZE_MIN && moment.condition == Some(Condition::OverBudget) {
            return Step::Failed("could-not-inspect/over-budget");
        }
        Step::Passes
    }

    /// What schemas say.
    fn form(&self, message: Message<'_>, found: &mut Found<'_>) -> Step {
        let is_validated = message.opcode == Opcode::Binary && !self.policy.validations.is_empty();
        if !is_validated || message.document.is_some() {
            return Step::Passes;
        }
        found.alert = found.alert.or(Some("validation-1"));
        // Where no pattern wants what is in it, it only breaks a schema.
        match self.filter {
            Some(_) => Step::Failed("could-not-inspect/undecodable"),
            None => Step::Passes,
        }
    }

    /// What rules with a memory say.
    fn states(
        &mut self,
        message: Message<'_>,
        moment: Moment,
        memory: &Memory<'a>,
        found: &mut Found<'a>,
        dues: &mut Vec<Due>,
    ) -> Step {
        let Message { opcode, payload, document } = message;
        let heard = Heard { direction: self.direction, opcode, payload, document, now_ns: moment.now_ns };
        for Opinion { rule, action, due } in memory.opinions(heard) {
            dues.extend(due);
            match action {
                Some(Action::Alert) => {
                    found.alert = found.alert.or(Some(rule));
                }
                Some(action) if !self.carry_out(rule, action) => return Step::Stopped,
                _ => {}
            }
        }
        Step::Passes
    }

    fn tell_alert(&mut self, found: &Found<'_>) {
        if let Some(rule) = found.alert {
            self.carry_out(rule, Action::Alert);
        }
    }

    /// The message with its places changed, if it has any that do. An error: it can't be changed, and is stopped.
    fn rewritten(&mut self, message: Message<'_>) -> Result<Option<Vec<u8>>, ()> {
        let (policy, mode) = (self.policy, self.policy.mode);
        let rewrites = policy.rewrites.iter().filter(|rewrite| {
            let looks = rewrite.directions.contains(self.direction);
            mode == Mode::Enforce && looks && rewrite.messages.contains(message.opcode)
        });
        let mut payload = None;
        let mut document = message.document.cloned();
        for rewrite in rewrites {
            let changed =
                document.as_ref().and_then(|document| document.changed(&rewrite.at, &rewrite.change));
            let before = payload.as_deref().unwrap_or(message.payload);
            let is_other = changed.is_some() && changed != document;
            // Protobuf writes nothing for a list without elements.
            let written = changed.as_ref().filter(|_| is_other).map(Document::written);
            let written = written.filter(|written| written != before);
            if changed.is_none() || written.as_ref().is_some_and(|written| written.len() > self.size_max()) {
                self.rewrite_failures += 1;
                self.carry_out(&rewrite.name, Action::Drop);
                return Err(());
            }
            payload = written.or(payload);
            document = changed;
        }
        Ok(payload)
    }

    /// What passes of a message that was changed: what it says now is judged by the patterns once more.
    fn rewritten_content(&mut self, message: Message<'_>, moment: Moment) -> Option<Vec<u8>> {
        let payload = message.payload.to_vec();
        let is_lost = moment.condition == Some(Condition::ScratchExhausted);
        let filter = self.filter.filter(|_| contains(&payload, TOKEN) && !is_lost);
        match filter.map(|filter| filter.action) {
            None | Some(Action::Alert) => Some(payload),
            Some(Action::Redact) => self.redact(message, moment),
            Some(action) => {
                self.carry_out("content-filter-1/block-patterns-1", action);
                None
            }
        }
    }

    /// What is left of a message in which something is hidden.
    fn redact(&mut self, message: Message<'_>, moment: Moment) -> Option<Vec<u8>> {
        if message.payload.len() > BUDGET_SIZE_MIN && moment.condition == Some(Condition::OverBudget) {
            self.fail_to_redact(message.opcode);
            return None;
        }
        self.redacted += 1;
        self.carry_out("content-filter-1/block-patterns-1", Action::Redact);
        Some(redacted(message.payload, message.opcode))
    }

    fn fail_to_redact(&mut self, opcode: Opcode) {
        self.redact_failures += 1;
        self.carry_out("content-filter-1/block-patterns-1", carried_out(opcode, Action::Drop));
    }
}

/// The payload with every token hidden, and what nobody sees behind it: in text by the character, else by the byte.
fn redacted(payload: &[u8], opcode: Opcode) -> Vec<u8> {
    let unseen = UNSEEN.encode_utf8(&mut [0; 4]).as_bytes().to_vec();
    let (mut out, mut rest) = (Vec::new(), payload);
    while let Some((first, after)) = rest.split_first() {
        let Some(mut after_token) = rest.strip_prefix(TOKEN) else {
            out.push(*first);
            rest = after;
            continue;
        };
        out.extend([b'*'; TOKEN.len()]);
        while let Some(after) = after_token.strip_prefix(&unseen[..]) {
            out.resize(out.len() + if opcode == Opcode::Text { 1 } else { unseen.len() }, b'*');
            after_token = after;
        }
        rest = after_token;
    }
    out
}

/// A close can't be withheld: what would be dropped closes.
fn carried_out(opcode: Opcode, action: Action) -> Action {
    if opcode == Opcode::Close && action == Action::Drop {
        Action::Close(CloseCode::POLICY_VIOLATION)
    } else {
        action
    }
}

fn contains(payload: &[u8], needle: &[u8]) -> bool {
    payload.windows(needle.len()).any(|window| window == needle)
}
