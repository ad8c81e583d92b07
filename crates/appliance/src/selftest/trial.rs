//! One attack: what is sent, what should become of it, and whether it did.

use wsi_config::policy::{Action, Direction};

use super::{
    attacks::Class,
    frames::{FIN, Framer, PING, PONG},
    handshake::{self, Offer},
    receiver::Arrived,
    relay::{Relay, Told},
};

/// Longer attacks are sent in one write only.
const BYTEWISE_SIZE_MAX: usize = 8192;

/// An attack on an open connection, or a message that is none.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    pub class: Class,
    pub group: &'static str,
    pub name: String,
    pub direction: Direction,
    /// What the sender writes.
    pub wire: Vec<u8>,
    /// Both legs have agreed on permessage-deflate.
    pub compressed: bool,
    pub after: After,
    /// What is not to arrive; empty where nothing is.
    pub token: Vec<u8>,
    pub expect: Expect,
}

/// What comes after the attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// A pong, which arrives if and only if the connection goes on.
    Pong,
    /// Nothing: the verdict may not wait for more.
    Silence,
    /// The sender vanishes.
    Vanishes,
    /// Nothing, for as long as the policy has patience.
    Patience,
}

impl After {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pong => "pong",
            Self::Silence => "silence",
            Self::Vanishes => "vanishes",
            Self::Patience => "patience",
        }
    }
}

/// What should become of it.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// A rule says so.
    Stopped(Claim),
    /// The protocol or a limit says so, in every mode; one of these codes is told to the sender. `verdict`: with a record.
    Refused { codes: &'static [u16], verdict: bool },
    /// At most so many messages arrive, and a verdict is told for each of the others, until one closes.
    AtMost(usize, Claim),
    /// These messages and control frames arrive, and nothing else.
    Passes { messages: Vec<(u8, Vec<u8>)>, controls: Vec<(u8, Vec<u8>)> },
}

/// What a policy says about its rule.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub rule: String,
    /// `Alert` where the policy only tells of it.
    pub action: Action,
}

/// How often an attack is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    OneWrite,
    Bytewise,
}

impl Delivery {
    pub const fn name(self) -> &'static str {
        match self {
            Self::OneWrite => "in one write",
            Self::Bytewise => "a byte a write",
        }
    }
}

/// What became of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Stopped, told of, or passed: as it should be. How, in a word or two.
    Right(String),
    /// It got through: what of it, and which rule should have stopped it.
    Slipped { bytes: Vec<u8>, rule: String },
    /// It did not get through, but not all is well: why.
    Wrong(String),
}

impl Variant {
    pub fn deliveries(&self) -> &'static [Delivery] {
        if self.wire.len() <= BYTEWISE_SIZE_MAX {
            &[Delivery::OneWrite, Delivery::Bytewise]
        } else {
            &[Delivery::OneWrite]
        }
    }

    /// Sends it through `relay`. `None`: the legs did not agree on what the attack needs.
    pub fn play(&self, relay: &mut dyn Relay, offer: &Offer, delivery: Delivery) -> Option<Outcome> {
        let offer = Offer { compression: self.compressed, ..offer.clone() };
        let answer = relay.upgrade(&[&handshake::request(&offer)], &|upstream| handshake::answer(upstream));
        if !answer.is_open {
            return Some(Outcome::Wrong("a right upgrade was refused".into()));
        }
        if self.compressed && !handshake::agrees_on_compression(&answer) {
            return None;
        }
        let framer = Framer::new(self.direction);
        relay.read(self.direction, &framer.frame(FIN | PING, b""));
        match delivery {
            Delivery::OneWrite => relay.read(self.direction, &self.wire),
            Delivery::Bytewise => self.wire.chunks(1).for_each(|byte| relay.read(self.direction, byte)),
        }
        match self.after {
            After::Pong => relay.read(self.direction, &framer.frame(FIN | PONG, b"")),
            After::Silence => {}
            After::Vanishes => relay.vanish(self.direction),
            After::Patience => relay.wait(),
        }
        Some(self.judge(&Seen::of(relay, self.direction)))
    }

    fn judge(&self, seen: &Seen<'_>) -> Outcome {
        if !seen.arrived.has(PING) {
            return Outcome::Wrong("the ping before it did not arrive".into());
        }
        match &self.expect {
            Expect::Stopped(claim) => self.judge_stopped(claim, seen),
            Expect::Refused { codes, verdict } => self.judge_refused(codes, *verdict, seen),
            Expect::AtMost(count, claim) => judge_count(*count, claim, seen),
            Expect::Passes { messages, controls } => self.judge_passed(messages, controls, seen),
        }
    }

    fn judge_stopped(&self, claim: &Claim, seen: &Seen<'_>) -> Outcome {
        if claim.action == Action::Alert {
            return match seen.verdicts {
                [] => Outcome::Slipped { bytes: seen.content(&self.token), rule: claim.rule.clone() },
                _ => Outcome::Right("told".into()),
            };
        }
        let got_through = match claim.action {
            Action::Redact => seen.arrived.unredacted(&Arrived::read(&self.wire), &self.token),
            _ => seen.arrived.content(&self.token),
        };
        if let Some(bytes) = got_through {
            return Outcome::Slipped { bytes: bytes.to_vec(), rule: claim.rule.clone() };
        }
        match seen.verdicts.last() {
            None => Outcome::Wrong("it is gone, and no verdict says why".into()),
            Some(last) if last.closes() => {
                // Whatever closes first ends the others' chance to tell; before it only what drops may have told.
                let told_once = seen.verdicts.iter().filter(|told| told.closes()).count() == 1;
                if told_once { seen.closed(None) } else { Outcome::Wrong("told more than once".into()) }
            }
            Some(_) if self.after == After::Pong && !seen.arrived.has(PONG) => {
                Outcome::Wrong("dropped, but the connection does not go on".into())
            }
            Some(_) if seen.arrived.content(b"").is_none() => Outcome::Right("dropped".into()),
            Some(_) => Outcome::Right("redacted".into()),
        }
    }

    fn judge_refused(&self, codes: &[u16], verdict: bool, seen: &Seen<'_>) -> Outcome {
        if let Some(bytes) = seen.arrived.content(&self.token) {
            let rule = "the protocol, or a limit".into();
            return Outcome::Slipped { bytes: bytes.to_vec(), rule };
        }
        if verdict && seen.verdicts.len() != 1 {
            let rules: Vec<_> = seen.verdicts.iter().map(|told| told.rule.as_str()).collect();
            return Outcome::Wrong(format!("{} verdicts, not one: {}", rules.len(), rules.join(", ")));
        }
        // A peer that vanishes hears nothing; the other one does.
        let code = if self.after == After::Vanishes { seen.arrived.close_code() } else { seen.code };
        match code {
            Some(code) if codes.contains(&code) => seen.closed(Some(code)),
            // Small limits are passed before the attack is whole.
            Some(1008 | 1009) if seen.verdicts.iter().all(Told::is_limit) => seen.closed(None),
            code => Outcome::Wrong(format!("closed with {code:?}, not one of {codes:?}")),
        }
    }

    fn judge_passed(
        &self,
        messages: &[(u8, Vec<u8>)],
        controls: &[(u8, Vec<u8>)],
        seen: &Seen<'_>,
    ) -> Outcome {
        if let Some(told) = seen.verdicts.first() {
            return Outcome::Wrong(told.rule.clone());
        }
        let own = seen.arrived.controls.iter().filter(|(_, payload)| !payload.is_empty());
        let is_same = seen.arrived.messages == messages && own.eq(controls) && seen.arrived.stray.is_empty();
        if is_same { Outcome::Right("passed".into()) } else { Outcome::Wrong("it arrived changed".into()) }
    }
}

fn judge_count(count: usize, claim: &Claim, seen: &Seen<'_>) -> Outcome {
    if seen.verdicts.is_empty() || (claim.action != Action::Alert && seen.arrived.messages.len() > count) {
        let bytes = seen.arrived.messages.last().map(|(_, payload)| payload.clone()).unwrap_or_default();
        return Outcome::Slipped { bytes, rule: claim.rule.clone() };
    }
    if seen.arrived.messages.len() < count {
        let arrived = seen.arrived.messages.len();
        return Outcome::Wrong(format!("{arrived} messages arrived, and {count} should"));
    }
    match seen.code {
        Some(code) => Outcome::Right(code.to_string()),
        None if claim.action == Action::Alert => Outcome::Right("told".into()),
        None => Outcome::Right("dropped".into()),
    }
}

/// What both endpoints and the audit saw.
struct Seen<'a> {
    arrived: Arrived,
    /// The close code that the sender was told.
    code: Option<u16>,
    verdicts: &'a [Told],
}

impl<'a> Seen<'a> {
    fn of(relay: &'a dyn Relay, direction: Direction) -> Self {
        let back = Arrived::read(relay.heard(direction.reverse()));
        let arrived = Arrived::read(relay.heard(direction));
        Self { arrived, code: back.close_code(), verdicts: relay.verdicts() }
    }

    fn content(&self, token: &[u8]) -> Vec<u8> {
        self.arrived.content(token).unwrap_or_default().to_vec()
    }

    /// It is over for both endpoints.
    fn closed(&self, code: Option<u16>) -> Outcome {
        let (own, other) = (code.or(self.code), self.arrived.close_code());
        match own {
            None => Outcome::Wrong("a verdict closes, and the sender was not told".into()),
            Some(_) if self.arrived.has(PONG) => Outcome::Wrong("frames arrived after the verdict".into()),
            Some(own) if other.is_some_and(|other| other != own) => {
                Outcome::Wrong(format!("the sender was told {own}, and the receiver {other:?}"))
            }
            Some(own) => Outcome::Right(own.to_string()),
        }
    }
}
