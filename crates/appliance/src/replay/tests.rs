//! Connections played to policies, from bytes of frames up.

use std::{cell::RefCell, path::Path};

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;
use wsi_config::policy::Direction::{self, ToClient, ToServer};

use super::{
    Options,
    capture::{har, lines},
    connection::Connection,
    opening::{CLIENT, Opening},
    player::{Fault, Player},
    report::Report,
    tally::Traffic,
    trial::Trial,
};
use crate::selftest::frames::{CONTINUATION, FIN, Framer, PING, TEXT};

const SECOND_NS: u64 = 1_000_000_000;

fn trial(policy: &str, options: &Options) -> Trial {
    let text = format!("agent \"test\" {{ type \"websocket_inspector\"\n{policy}\n}}");
    let configuration = wsi_config::parse("test", &text, Path::new("")).unwrap();
    Trial::of("test".into(), configuration, options).unwrap()
}

/// The lines that are told of what `play` does, and what it adds up to.
pub(super) fn told(
    policies: &[&str],
    options: &Options,
    play: impl FnOnce(&mut Player<'_>) -> Result<(), Fault>,
) -> (Vec<Value>, Traffic, Vec<Trial>) {
    let mut out = Vec::new();
    let report = Report {
        out: Box::new(&mut out),
        is_json: true,
        is_whole: options.all,
        capture: String::new(),
        base_ns: None,
    };
    let trials = policies.iter().map(|policy| trial(policy, options)).collect();
    let mut player = Player::new(trials, report);
    play(&mut player).unwrap();
    let (traffic, trials) = player.finish().unwrap();
    let lines = String::from_utf8(out).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), traffic, trials)
}

/// As [`told`], of a connection without an upgrade that `act` sends frames on: only messages, control frames and silences.
fn verdicts(
    policy: &str,
    go_on: bool,
    act: impl FnOnce(&mut Sender<'_, '_>),
) -> Vec<(String, String, String)> {
    let options = Options { go_on, all: true, ..Options::default() };
    let (lines, ..) = told(&[policy], &options, |player| {
        let connection = player.open("one".into(), &unknown()).unwrap();
        let mut sender = Sender { player, connection };
        act(&mut sender);
        sender.player.close(sender.connection)
    });
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .iter()
        .filter(|line| ["message", "control", "silence"].contains(&line["type"].as_str().unwrap()))
        .map(|line| (text(line, "opcode"), text(line, "verdict"), text(line, "rule")))
        .collect()
}

pub(super) fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })
}

fn unknown() -> Opening {
    Opening { at_ns: Some(0), client: CLIENT, port: None, request: None, answer: None, is_wire: false }
}

struct Sender<'a, 'b> {
    player: &'a mut Player<'b>,
    connection: Connection,
}

impl Sender<'_, '_> {
    fn send(&mut self, direction: Direction, at_s: u64, frames: &[u8]) {
        self.player.bytes(&mut self.connection, direction, at_s * SECOND_NS, frames).unwrap();
    }
}

fn is(told: &[(String, String, String)], expected: &[(&str, &str, &str)]) {
    let told: Vec<_> = told.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
    assert_eq!(told, expected);
}

pub(super) const FILTER: &str = "content-filter { block-patterns \"bad\" }";
pub(super) const BAD: &str = "content-filter-1/block-patterns-1";

#[test]
fn nothing_is_relayed_after_a_close_unless_it_goes_on() {
    let play = |sender: &mut Sender<'_, '_>| {
        let framer = Framer::new(ToServer);
        sender.send(ToServer, 0, &framer.text(b"good"));
        sender.send(ToServer, 0, &[framer.text(b"bad"), framer.text(b"late")].concat());
        sender.send(ToClient, 0, &Framer::new(ToClient).text(b"other"));
    };
    is(
        &verdicts(FILTER, false, play),
        &[
            ("text", "pass", ""),
            ("text", "close", BAD),
            ("text", "not-relayed", ""),
            ("text", "not-relayed", ""),
        ],
    );
    is(
        &verdicts(FILTER, true, play),
        &[("text", "pass", ""), ("text", "close", BAD), ("text", "pass", ""), ("text", "pass", "")],
    );
}

#[test]
fn a_broken_protocol_is_gone_on_after_at_the_next_message() {
    let framer = Framer::new(ToServer);
    let play = |sender: &mut Sender<'_, '_>| {
        // The server is within a message, and within a frame, when the client breaks the protocol.
        let server = Framer::new(ToClient).fragments(TEXT, &[b"one", b"two", b"three"]);
        sender.send(ToClient, 0, &server[..7]);
        sender.send(ToServer, 0, &framer.wrongly_masked(FIN | TEXT, b"unmasked, and cut")[..5]);
        sender.send(ToServer, 0, &framer.wrongly_masked(FIN | TEXT, b"unmasked, and cut")[5..]);
        sender.send(ToServer, 0, &framer.text(b"bad"));
        sender.send(ToClient, 0, &server[7..]);
        sender.send(ToClient, 0, &Framer::new(ToClient).text(b"bad"));
    };
    is(
        &verdicts(FILTER, true, play),
        &[
            ("text", "close", "protocol/unmasked-by-client"),
            ("text", "close", BAD),
            ("text", "not-relayed", ""),
            ("text", "close", BAD),
        ],
    );
}

#[test]
fn time_is_the_captures() {
    let rate = "rate-limit { messages-per-second 1; burst 2; action \"drop\" }";
    let framer = Framer::new(ToServer);
    let told = verdicts(rate, false, |sender| {
        for at_s in [10, 10, 10, 11, 11] {
            sender.send(ToServer, at_s, &framer.text(b"x"));
        }
    });
    let (pass, drop) = (("text", "pass", ""), ("text", "drop", "rate-limit-1"));
    is(&told, &[pass, pass, drop, pass, drop]);
}

#[test]
fn timeouts_run_in_the_captures_time() {
    let policy = "limits { idle-timeout-s 60; message-timeout-ms 5000 }";
    let framer = Framer::new(ToServer);
    let idle = |sender: &mut Sender<'_, '_>| {
        for at_s in [0, 59, 200, 100_000_000] {
            sender.send(ToServer, at_s, &framer.text(b"x"));
        }
    };
    let closed = ("", "close", "limits/idle-timeout-s");
    let (pass, late) = (("text", "pass", ""), ("text", "not-relayed", ""));
    is(&verdicts(policy, false, idle), &[pass, pass, closed, late, late]);
    is(&verdicts(policy, true, idle), &[pass, pass, closed, pass, closed, pass]);

    let slow = |sender: &mut Sender<'_, '_>| {
        let frames = framer.fragments(TEXT, &[b"one", b"two"]);
        sender.send(ToServer, 0, &frames[..9]);
        sender.send(ToServer, 6, &frames[9..]);
        sender.send(ToServer, 6, &framer.text(b"x"));
    };
    let timeout = ("text", "close", "limits/message-timeout-ms");
    is(&verdicts(policy, false, slow), &[timeout, late]);
    is(&verdicts(policy, true, slow), &[timeout, pass]);
}

#[test]
fn a_message_without_its_end_is_told_so() {
    let framer = Framer::new(ToServer);
    let told = verdicts(FILTER, false, |sender| {
        sender.send(ToServer, 0, &framer.frame(TEXT, b"beginning"));
        sender.send(ToServer, 0, &framer.frame(FIN | PING, b"p"));
        sender.send(ToServer, 0, &framer.frame(CONTINUATION, b"middle"));
    });
    is(&told, &[("ping", "pass", ""), ("text", "unfinished", "")]);
}

#[test]
fn two_policies_are_compared_until_one_has_closed() {
    let options = Options::default();
    let (lines, traffic, trials) = told(&[FILTER, "mode \"detect\"\n"], &options, |player| {
        let mut connection = player.open("one".into(), &unknown())?;
        for text in ["good", "bad", "bad"] {
            player.message(&mut connection, ToServer, 0, TEXT, text.as_bytes())?;
        }
        player.close(connection)
    });
    assert_eq!((traffic.differences, traffic.not_compared), (1, 1));
    assert_eq!(lines[0]["a"]["verdict"], "close");
    assert_eq!(lines[0]["b"]["verdict"], "pass");
    assert_eq!(lines[1]["type"], "connection");
    assert_eq!((lines[1]["a"]["not_relayed_to_server"].as_u64(), trials[1].tally.inspected), (Some(1), 3));
}

#[test]
fn what_is_broken_several_ways_is_told_once() {
    let policy = format!("{FILTER}\nrate-limit {{ messages-per-second 1; action \"drop\" }}");
    let options = Options { go_on: true, ..Options::default() };
    let (lines, _, trials) = told(&[&policy], &options, |player| {
        let mut connection = player.open("one".into(), &unknown())?;
        player.message(&mut connection, ToServer, 0, TEXT, b"good")?;
        player.message(&mut connection, ToServer, 0, TEXT, b"bad")?;
        player.close(connection)
    });
    let expected = serde_json::json!(["drop", "enforce", "rate-limit-1", [BAD]]);
    assert_eq!(serde_json::json!(["verdict", "mode", "rule", "also"].map(|name| &lines[0][name])), expected);
    assert_eq!((trials[0].tally.closes, trials[0].tally.drops), (0, 1));
}

/// Lines that are nearly right.
fn line() -> impl Strategy<Value = String> {
    let connection = prop_oneof![Just("\"a\""), Just("\"b\""), Just("7")];
    let time = prop_oneof![Just("0"), Just("5.5"), Just("1e300"), Just("-1"), Just("1e12")];
    let direction = prop_oneof![Just("\"to_server\""), Just("\"to_client\""), Just("\"up\"")];
    let opcode = prop_oneof![
        Just("\"text\""),
        Just("\"binary\""),
        Just("\"ping\""),
        Just("\"close\""),
        Just("\"continuation\"")
    ];
    let rest = prop_oneof![
        Just("\"data\": \"x\""),
        Just("\"data_base64\": \"AAH/\""),
        Just("\"data_base64\": \"?\""),
        Just("\"data\": \"bye\", \"code\": 1000"),
        Just("\"data\": \"x\", \"url\": \"wss://a/b?c\", \"origin\": \"https://a\", \"client\": \"::1\""),
        Just("\"data\": \"x\", \"url\": \"wss://a\\r\\nb\""),
        Just("\"data\": \"x\", \"url\": \"nowhere\""),
    ];
    (connection, time, direction, opcode, rest).prop_map(|(connection, time, direction, opcode, rest)| {
        format!(
            "{{\"connection\": {connection}, \"time_ms\": {time}, \"direction\": {direction}, \"opcode\": {opcode}, {rest}}}"
        )
    })
}

#[test]
fn any_lines_are_played_or_refused_with_their_place() {
    let options = Options { all: true, ..Options::default() };
    let bytes = prop_oneof![
        3 => proptest::collection::vec(line(), 0..6).prop_map(|lines| lines.join("\n").into_bytes()),
        1 => any::<Vec<u8>>(),
    ];
    told(&[FILTER], &options, |player| {
        let player = RefCell::new(player);
        let tried = runner().run(&bytes, |bytes| {
            if let Err(fault) = lines::play(*player.borrow_mut(), bytes.as_slice(), "file") {
                prop_assert!(fault.to_string().starts_with("file:"), "{}", fault);
            }
            Ok(())
        });
        Ok(tried.map_err(|error| error.to_string())?)
    });
}

/// Archives that are nearly right.
fn archive() -> impl Strategy<Value = String> {
    let message = prop_oneof![
        Just(r#"{"type":"send","time":1.5,"opcode":1,"data":"good \u00e9"}"#),
        Just(r#"{"type":"receive","time":-1,"opcode":2,"data":"AAH/"}"#),
        Just(r#"{"type":"send","time":1700000000000,"opcode":2,"data":"?"}"#),
        Just(r#"{"type":"error","time":1e300,"opcode":-1,"data":"closed"}"#),
        Just(r#"{"type":"send","time":1,"opcode":8,"data":"x"}"#),
        Just(r#"{"type":"send","time":1,"opcode":1,"data":"\ud800"}"#),
        Just("7"),
    ];
    let messages = proptest::collection::vec(message, 0..4).prop_map(|all| format!("[{}]", all.join(",")));
    let messages = prop_oneof![4 => messages, 1 => Just("null".to_owned()), 1 => Just("{}".to_owned())];
    let url = prop_oneof![Just("wss://a/b?c"), Just("https://a"), Just("data:x"), Just("ws://a\\r\\nb")];
    let status = prop_oneof![Just("101"), Just("0"), Just("403"), Just("-7"), Just("1e9"), Just("\"x\"")];
    let entry = (messages, url, status).prop_map(|(messages, url, status)| {
        format!(
            r#"{{"_resourceType":"websocket","_webSocketMessages":{messages},"request":{{"url":"{url}","headers":[{{"name":":m","value":"x"}},{{"name":"Origin","value":"https://a\nb"}}]}},"response":{{"status":{status}}}}}"#
        )
    });
    proptest::collection::vec(prop_oneof![4 => entry, 1 => Just("[]".to_owned())], 0..4)
        .prop_map(|entries| format!(r#"{{"log":{{"version":"1.2","entries":[{}]}}}}"#, entries.join(",")))
}

#[test]
fn any_archive_is_played_or_refused_with_its_place() {
    let options = Options { all: true, ..Options::default() };
    let bytes = (archive(), any::<proptest::sample::Index>(), 0..4_u8).prop_map(|(text, at, how)| {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        match how {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 0x15,
            _ => {}
        }
        bytes
    });
    told(&[FILTER], &options, |player| {
        let player = RefCell::new(player);
        let tried = runner().run(&bytes, |bytes| {
            if let Err(fault) = har::play(*player.borrow_mut(), bytes.as_slice(), "file") {
                prop_assert!(fault.to_string().starts_with("file: "), "{}", fault);
            }
            Ok(())
        });
        Ok(tried.map_err(|error| error.to_string())?)
    });
}
