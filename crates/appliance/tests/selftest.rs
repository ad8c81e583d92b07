//! `selftest` as a user calls it: exit codes, rows, and what is said of policies that are weak on purpose.
#![allow(clippy::unwrap_used)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn selftest(arguments: &[&str]) -> Run {
    let done = Command::new(env!("CARGO_BIN_EXE_websocket-inspector"))
        .arg("selftest")
        .args(arguments)
        .output()
        .unwrap();
    Run {
        code: done.status.code().unwrap(),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

/// The report on the only policy of a configuration, which is one agent with `body`.
fn report(body: &str) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.kdl");
    std::fs::write(folder.path().join("any.json"), "{}").unwrap();
    std::fs::write(folder.path().join("text.json"), r#"{"type": "string"}"#).unwrap();
    let proto = "syntax = \"proto3\"; package chat; message Line { string text = 1; }";
    std::fs::write(folder.path().join("chat.proto"), proto).unwrap();
    std::fs::write(&path, format!("agent \"test\" {{\n type \"websocket_inspector\"\n{body}\n}}\n")).unwrap();
    let run = selftest(&["--json", "-c", path.to_str().unwrap()]);
    let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}{}", run.out, run.err));
    assert_eq!(report["holds"], run.code == 0);
    (run.code, report["policies"][0].clone())
}

fn row<'a>(report: &'a Value, class: &str, attacks: &str) -> Option<&'a Value> {
    report["rows"].as_array().unwrap().iter().find(|row| row["class"] == class && row["attacks"] == attacks)
}

fn says(report: &Value, section: &str, words: &str) -> bool {
    report[section].as_array().unwrap().iter().any(|line| line.as_str().unwrap().contains(words))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn what_a_policy_redacts_is_tried_too() {
    let body = "handshake { compression \"inspect\" }
        content-filter { block-patterns \"/exec\\\\(/\" \"secret\"; action \"redact\"; normalize \"json\" \"base64\" }";
    let (code, report) = report(body);
    assert_eq!(code, 0, "{report}");
    let how = |class, attacks| row(&report, class, attacks).unwrap()["how"].to_string();
    assert!(how("fragmentation", "cut in two").contains("redacted"), "{report}");
    assert!(how("framing", "in control frames").contains("redacted"), "{report}");
    assert!(how("text and JSON", "base64").contains("dropped"), "{report}");
}

#[test]
fn the_built_in_policy_holds() {
    let run = selftest(&[]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.ends_with("\nNothing slipped.\n"), "{}", run.out);
    for row in ["handshake      requests", "compression    context takeover", "text and JSON  JSON escapes"] {
        assert!(run.out.contains(row), "{row}: {}", run.out);
    }
}

#[test]
fn the_demonstration_holds() {
    let run = selftest(&["-v", "-c", root().join("config/demo.kdl").to_str().unwrap()]);
    assert_eq!(run.code, 0, "{}", run.out);
    assert!(run.out.contains("policy \"chat\"\n"));
    assert!(run.out.contains("schema         cut in two"));
    assert!(run.out.contains("resources      bursts"));
    assert!(
        run.out.contains("of messages, rate-limit-1, to the server, in one write: 1008"),
        "with -v, each attack"
    );
    assert!(run.out.contains("compressed messages: compression \"strip\""));
}

/// The policy of the contract that the end-to-end tests keep, as far as it is built.
#[test]
fn a_policy_with_every_rule_holds() {
    let (code, report) = report(
        r#"
        events "ws_handshake" "ws_open" "ws_message" "ws_ping" "ws_pong" "ws_close"
        timeout-ms 50
        failure-mode "open"
        handshake { allow-origins "https://app.example.com"; subprotocols "chat.v1"; compression "inspect" }
        limits { max-frame-size "1MiB"; max-fragments 1024; max-inflate-ratio 100; max-json-depth 64 }
        validation { schema-type "json"; schema-path "any.json"; direction "to-server"; action "close" }
        rate-limit { messages-per-second 100; burst 200; bytes-per-second "1MiB"; direction "to-server" }
        content-filter {
            block-patterns "/exec\\(/" "/eval\\(/i"
            rules "xss" "sqli" "command-injection"
            max-message-size 65536
        }"#,
    );
    assert_eq!(code, 0, "{report:#}");
    assert!(says(&report, "not_tried", "validation-1: no sample, the schema allows"));
    let depth = row(&report, "schema", "whole").unwrap();
    assert_eq!(depth["how"]["1007"], depth["tried"], "what is no document breaks every schema");
    assert!(row(&report, "handshake", "origins").unwrap()["tried"].as_u64() > Some(20));
    assert!(says(&report, "not_tried", "behind 70,000 bytes"), "of 64 KiB at most");
}

#[test]
fn binary_formats_are_tried_in_their_own_terms() {
    for (name, schema) in [
        ("MessagePack", r#"schema-type "msgpack"; schema-path "text.json""#),
        ("Protobuf", r#"schema-type "protobuf"; schema-path "chat.proto" message="chat.Line""#),
    ] {
        for action in ["close", "drop"] {
            let body = format!("validation {{ {schema}; action \"{action}\" }}");
            let (code, report) = report(&body);
            assert_eq!(code, 0, "{name}: {report:#}");
            let (whole, cut) =
                (row(&report, "schema", "whole").unwrap(), row(&report, "schema", "cut in two"));
            let how = if action == "close" { "1007" } else { "dropped" };
            assert_eq!(whole["how"][how], whole["tried"], "{name}");
            assert!(whole["tried"].as_u64() > Some(30), "{name}");
            assert_eq!(cut.is_some(), name == "Protobuf", "an empty map has no middle");
        }
    }
}

/// As the contract stands: names that are not built yet are mistakes, and none may be tried as if it were.
#[test]
fn a_configuration_with_mistakes_is_not_tried() {
    let contract = root().join("crates/appliance/tests/e2e/support/contract.kdl");
    let run = selftest(&["-c", contract.to_str().unwrap()]);
    assert_eq!(run.code, 2, "its schema file is missing, if nothing else");
    assert!(run.out.is_empty());
    assert!(run.err.contains("contract.kdl:"), "{}", run.err);
    assert_eq!(selftest(&["-c", "/no/such/file.kdl"]).code, 2);
}

#[test]
fn a_pattern_that_cannot_be_compiled_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.kdl");
    let text = r#"agent "a" { type "websocket_inspector"; content-filter { block-patterns "/(/" } }"#;
    std::fs::write(&path, text).unwrap();
    assert_eq!(selftest(&["-c", path.to_str().unwrap()]).code, 2);
}

#[test]
fn weak_policies_are_told_what_they_do_not_claim() {
    let (code, report) =
        report(r#"content-filter { block-patterns "block-this("; direction "to-server"; normalize "none" }"#);
    assert_eq!(code, 0, "nothing is claimed that does not hold");
    assert!(says(&report, "not_claimed", "content-filter-1: anything on its way to the client"));
    assert!(
        says(&report, "not_claimed", "JSON escapes: normalize lacks \"json\"; 20 of 20 pass"),
        "{report:#}"
    );
    assert!(says(&report, "not_claimed", "compressed messages: compression \"strip\""));
    assert!(row(&report, "text and JSON", "JSON escapes").is_none());
    assert!(row(&report, "compression", "kinds of blocks").is_none());
    assert!(row(&report, "fragmentation", "cut in two").unwrap()["stopped"].as_u64() > Some(0));
}

#[test]
fn detect_mode_is_told_of() {
    let (code, report) = report(
        r#"
        mode "detect"
        content-filter { block-patterns "block-this("; action "drop" }"#,
    );
    assert_eq!((code, &report["mode"]), (0, &"detect".into()));
    let whole = row(&report, "fragmentation", "whole").unwrap();
    assert_eq!(whole["how"]["told"], whole["tried"]);
    let frames = row(&report, "framing", "order").unwrap();
    assert_eq!(frames["how"]["1002"], frames["tried"], "the protocol holds all the same");
}

#[test]
fn benign_messages_that_own_patterns_stop_are_shown() {
    let (code, report) = report(r#"content-filter { block-patterns "Scunthorpe" "/^ticket #$/" }"#);
    assert_eq!(code, 0, "what the user wrote is no failure");
    let stopped = report["benign_stopped"].as_object().unwrap();
    assert_eq!(stopped["content-filter-1/block-patterns-1"][0], "\"Scunthorpe\"");
    assert_eq!(stopped["content-filter-1/block-patterns-2"][0], "\"ticket #\"");
    assert!(says(&report, "not_tried", "block-patterns-2: with anything around it"));
}

#[test]
fn small_limits_and_rates_hold() {
    let (code, report) = report(
        r#"
        handshake { compression "inspect" }
        limits { max-message-size 16; max-fragments 1; max-frame-size 5; control-frames-per-second 1; max-inflate-ratio 1 }
        rate-limit { messages-per-second 2; bytes-per-second 10; direction "both"; action "drop" }
        content-filter { block-patterns "eval(" "/^x$/" "/\\bword\\b/i" "/a{1000}/" }"#,
    );
    assert_eq!(code, 0, "{report:#}");
    assert!(says(&report, "not_tried", "block-patterns-4: no sample found for /a{1000}/"));
}

/// What leaves before its end was inspected must not hold any of the match.
#[test]
fn messages_that_are_larger_than_what_is_held_hold() {
    for compression in ["strip", "inspect"] {
        let (code, report) = report(&format!(
            r#"
            handshake {{ compression "{compression}" }}
            limits {{ max-message-size "1MiB"; max-held-size "16KiB"; max-frame-size "256KiB" }}
            content-filter {{ block-patterns "block-this(" "/eval\\(/i" }}"#
        ));
        assert_eq!(code, 0, "{report:#}");
        let row = row(&report, "fragmentation", "behind what is held").unwrap();
        assert_eq!((&row["how"]["1008"], row["tried"].as_u64() > Some(20)), (&row["tried"], true));
    }
}

#[test]
fn emitted_attacks_are_bytes() {
    let run = selftest(&["--emit"]);
    assert_eq!(run.code, 0);
    let lines: Vec<Value> = run.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() > 1000);
    let whole =
        lines.iter().find(|line| line["attacks"] == "whole" && line["direction"] == "to_client").unwrap();
    let (token, bytes) = (whole["token"].as_str().unwrap(), whole["bytes"].as_str().unwrap());
    assert_eq!(bytes, format!("81{:02x}{token}", token.len() / 2));
}
