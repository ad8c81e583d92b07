//! What the simulation is there for is reached: every condition under either failure mode, and every way to refuse and to end.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use wsi_inspect::{Condition, Initiator, Outcome};
use wsi_policy::{Action, Change, Direction, FailureMode, Mode};
use wsi_sim::{document::Format, world};

/// Of a fixed beginning, so that it does not depend on luck.
const SEEDS: u64 = 4_000;

#[test]
fn every_condition_and_every_end_is_reached() {
    let (mut reached, mut ends, mut replies) = (BTreeSet::new(), BTreeSet::new(), (0, 0));
    let mut changed = BTreeSet::new();
    for seed in 0..SEEDS {
        let (scenario, told) = world::run(seed).unwrap();
        for verdict in told.verdicts.iter().flatten() {
            let what = (verdict.rule.clone(), outcome(verdict.outcome));
            let detects = scenario.policy.mode == Mode::Detect;
            if ["sequence", "order", "duplicate", "rewrite"].iter().any(|rule| what.0.starts_with(rule)) {
                reached.insert((format!("{} {} {:?}", what.0, what.1, scenario.format), detects));
            }
            reached.insert((format!("{} {}", what.0, what.1), detects));
        }
        if let ([rewrite], 1..) = (&scenario.policy.rewrites[..], told.rewritten) {
            changed.insert(format!("{:?} {}", scenario.format, change(&rewrite.change)));
        }
        replies = (replies.0 + told.replies.0, replies.1 + told.replies.1);
        ends.extend(told.ends.iter().map(|end| (end.initiator.name(), end.code)));
    }
    for condition in Condition::ALL {
        for mode in [FailureMode::Open, FailureMode::Closed] {
            let outcome = if mode == FailureMode::Open { "passes" } else { "close 1011" };
            for detects in [false, true] {
                let wanted = (format!("could-not-inspect/{} {outcome}", condition.name()), detects);
                assert!(reached.contains(&wanted), "{wanted:?}");
            }
        }
    }
    for rule in [
        "rate-limit-1 drop",
        "rate-limit-1 close 1008",
        "content-filter-1/block-patterns-1 drop",
        "content-filter-1/block-patterns-1 close 1008",
        "content-filter-1/block-patterns-1 alert",
        "content-filter-1/block-patterns-1 redact",
    ] {
        assert!(
            reached.contains(&(rule.to_owned(), false)) && reached.contains(&(rule.to_owned(), true)),
            "{rule}"
        );
    }
    for format in [Format::Json, Format::MessagePack, Format::Protobuf].map(Some) {
        for (rule, outcome) in ["sequence-1", "order-1", "duplicate-1"]
            .into_iter()
            .flat_map(|rule| ["drop", "alert", "close 1008"].map(|outcome| (rule, outcome)))
        {
            for detects in [false, true] {
                let wanted = (format!("{rule} {outcome} {format:?}"), detects);
                assert!(reached.contains(&wanted), "{wanted:?}");
            }
        }
        let wanted = (format!("rewrite-1 drop {format:?}"), false);
        assert!(reached.contains(&wanted), "{wanted:?}");
        for what in ["remove", "set", "mask", "hash"] {
            let wanted = format!("{format:?} {what}");
            assert!(changed.contains(&wanted), "{wanted}");
        }
    }
    for rule in [
        "content-filter-1/max-message-size close 1009",
        "limits/max-message-size close 1009",
        "limits/max-fragments close 1008",
        "limits/message-timeout-ms close 1008",
        "limits/control-frames-per-second close 1008",
        "limits/max-memory close 1013",
        "limits/write-timeout-ms close 1008",
        "protocol/invalid-deflate close 1007",
        "protocol/invalid-utf8 close 1007",
    ] {
        assert!(reached.contains(&(rule.to_owned(), false)), "{rule}");
    }
    assert!(replies.0 > 50 && replies.1 > 50, "{replies:?}: answers that came and that were left out");
    let inspector = Initiator::Inspector.name();
    for end in [
        ("client", Some(1000)),
        ("server", Some(1000)),
        ("client", None),
        ("server", None),
        (inspector, Some(1001)),
    ] {
        assert!(ends.contains(&end), "{end:?} of {ends:?}");
    }
}

#[test]
fn a_seed_plays_the_same_again() {
    for seed in 0..20 {
        let (first, second) = (world::run(seed).unwrap().1, world::run(seed).unwrap().1);
        for direction in Direction::BOTH.map(Direction::index) {
            assert_eq!(first.verdicts[direction], second.verdicts[direction]);
            assert_eq!(first.messages[direction], second.messages[direction]);
        }
        assert_eq!(first.ends, second.ends);
    }
}

fn change(change: &Change) -> &'static str {
    match change {
        Change::Remove => "remove",
        Change::Set(_) => "set",
        Change::Mask { .. } => "mask",
        Change::Hash(_) => "hash",
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::PassedUninspected => "passes".into(),
        Outcome::Message(Action::Alert) => "alert".into(),
        Outcome::Message(Action::Redact) => "redact".into(),
        Outcome::Message(Action::Drop) => "drop".into(),
        Outcome::Message(Action::Close(code)) => format!("close {}", code.as_u16()),
        Outcome::Refused(status) => format!("refused {status}"),
    }
}
