//! What must come of a script, worked out the plain way: whole messages, one after the other, with nothing of the product.

use wsi_policy::{Action, FailureMode, Mode, Policy};

use crate::{
    peer::Got,
    scenario::{FRAGMENTS_MAX, MESSAGE_SIZE_MAX, Sent, TOKEN, TOKEN_ESCAPED},
};

/// Messages above this are inspected under the budget.
const BUDGET_SIZE_MIN: usize = 4096;

/// What one direction should lead to if nothing else happens to the connection.
#[derive(Debug, Default)]
pub struct Expected {
    /// Messages and control frames that arrive, in order.
    pub arrives: Vec<Got>,
    /// How often a verdict is told.
    pub verdicts: usize,
    /// How it ends; `None`: the sender just stops.
    pub end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The sender closed, and the receiver is told.
    Passed(u16),
    /// The inspector closed, and both are told.
    Verdict(u16),
}

/// Plays `script` under `policy`.
pub fn expect(policy: &Policy, script: &[Sent]) -> Expected {
    let mut expected = Expected::default();
    for sent in script {
        match sent {
            Sent::Message { opcode, payload, fragments, ping_between } => {
                let size = payload.len().div_ceil(*fragments).max(1);
                let parts = payload.len().div_ceil(size).max(1);
                if let Some((read, code)) = too_much(payload.len(), size, parts) {
                    pings(&mut expected, read, *ping_between);
                    expected.verdicts += 1;
                    expected.end = Some(End::Verdict(code));
                } else {
                    pings(&mut expected, parts - 1, *ping_between);
                    let got = Got::Message { opcode: opcode.bits(), payload: payload.clone() };
                    judge(&mut expected, policy, payload, got);
                }
            }
            Sent::Control { opcode, payload } => {
                let payload = &payload[..payload.len().min(125)];
                let got = Got::Control { opcode: opcode.bits(), payload: payload.to_vec() };
                judge(&mut expected, policy, payload, got);
            }
            Sent::Close { code } => expected.end = Some(End::Passed(*code)),
            Sent::Fault { code, .. } => {
                expected.verdicts += 1;
                expected.end = Some(End::Verdict(*code));
            }
        }
        if expected.end.is_some() {
            break;
        }
    }
    expected
}

/// Whether a limit is passed: how many fragments were taken before, and the close code.
fn too_much(payload: usize, size: usize, parts: usize) -> Option<(usize, u16)> {
    let too_big = (0..parts).find(|part| payload.min((part + 1) * size) > MESSAGE_SIZE_MAX);
    match too_big {
        Some(part) if part < FRAGMENTS_MAX => Some((part, 1009)),
        _ if parts > FRAGMENTS_MAX => Some((FRAGMENTS_MAX, 1008)),
        _ => None,
    }
}

fn pings(expected: &mut Expected, count: usize, ping_between: bool) {
    if ping_between {
        let ping = Got::Control { opcode: 9, payload: b"between".to_vec() };
        expected.arrives.extend(std::iter::repeat_n(ping, count));
    }
}

fn judge(expected: &mut Expected, policy: &Policy, payload: &[u8], got: Got) {
    let action = policy.content_filters.first().map(|filter| filter.action);
    let is_bad = contains(payload, TOKEN) || contains(payload, TOKEN_ESCAPED);
    // Patterns come before the budget: what they stop is stopped, and what they only tell is told in detect mode.
    if is_bad {
        match (policy.mode, action) {
            (Mode::Enforce, Some(Action::Drop)) => {
                expected.verdicts += 1;
                return;
            }
            (Mode::Enforce, Some(Action::Close(code))) => {
                expected.verdicts += 1;
                expected.end = Some(End::Verdict(code.as_u16()));
                return;
            }
            (Mode::Detect, Some(Action::Drop | Action::Close(_))) => expected.verdicts += 1,
            _ => {}
        }
    }
    if payload.len() > BUDGET_SIZE_MIN && policy.timeout_ms == 0 {
        expected.verdicts += 1;
        if policy.failure_mode == FailureMode::Closed && policy.mode == Mode::Enforce {
            expected.end = Some(End::Verdict(1011));
        } else {
            expected.arrives.push(got);
        }
        return;
    }
    expected.verdicts += usize::from(is_bad && action == Some(Action::Alert));
    expected.arrives.push(got);
}

fn contains(payload: &[u8], needle: &[u8]) -> bool {
    payload.windows(needle.len()).any(|window| window == needle)
}
