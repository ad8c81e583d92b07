//! A proxy's `config` block over the file's policy.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use wsi_config::{Template, parse};
use wsi_policy::{Mode, Pattern, Policy};

const FILE: &str = r#"
agent "guard" {
    type "websocket_inspector"
    transport "unix_socket" { path "/run/x.sock"; mode "0600" }   // comments stay behind
    timeout-ms 100
    mode "enforce"
    limits { max-message-size "64KiB"; max-fragments 8 }
    content-filter { block-patterns "alpha\\" "/be\"ta/i" }
}
agent "other" { type "websocket_inspector" }
"#;

fn template() -> Template {
    let configuration = parse("file.kdl", FILE, Path::new("")).unwrap();
    let [Some(template), None] = &configuration.templates[..] else { panic!() };
    template.clone()
}

fn with(json: &str) -> Policy {
    template().with(json).unwrap()
}

fn refusal(json: &str) -> String {
    template().with(json).unwrap_err().to_string()
}

#[test]
fn nothing_pushed_changes_nothing() {
    let configuration = parse("file.kdl", FILE, Path::new("")).unwrap();
    let (file, pushed) = (&configuration.ruleset.policies[0], with("{}"));
    assert_eq!(format!("{file:?}"), format!("{pushed:?}"));
    assert_eq!(pushed.transport.unwrap().mode, 0o600);
}

#[test]
fn values_are_replaced_and_rules_are_added() {
    let policy = with(
        r#"{"mode":"detect","timeout-ms":20,"events":["ws_open","ws_close"],
            "limits":{"max-fragments":9,"max-json-depth":7},
            "content-filter":{"block-patterns":"one \"quoted\" \\ text","action":"drop"},
            "content-filter-orders":{"block-patterns":["two","/thr[e]{2}/i"]},
            "rate-limit":{"messages-per-second":10},
            "sequence-a":{"field":"/a"},"sequence-b":{"field":"/b","step":1},"duplicate":{}}"#,
    );
    assert_eq!((policy.name.as_str(), policy.mode, policy.timeout_ms), ("guard", Mode::Detect, 20));
    let limits = policy.limits;
    assert_eq!((limits.message_size_max, limits.fragments_max, limits.json_depth_max), (65_536, 9, 7));
    let patterns: Vec<_> = policy.content_filters.iter().map(|filter| filter.patterns.clone()).collect();
    let literal = |text: &str| Pattern::Literal(text.into());
    let regex = |expression: &str| Pattern::Regex { expression: expression.into(), flags: "i".into() };
    assert_eq!(
        patterns,
        [
            vec![literal("alpha\\"), regex("be\"ta")],
            vec![literal("one \"quoted\" \\ text")],
            vec![literal("two"), regex("thr[e]{2}")]
        ]
    );
    assert_eq!(policy.rate_limits.len(), 1);
    let states: Vec<_> = policy.states.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(states, ["sequence-1", "sequence-2", "duplicate-1"]);
}

#[test]
fn mistakes_say_what_to_do() {
    for (json, message) in [
        ("[]", "no JSON object"),
        ("{", "no JSON object"),
        (r#"{"transport":{"path":"/x"}}"#, "`transport` is for the agent's own file"),
        (r#"{"deny":["alpha"]}"#, "unknown name `deny`"),
        (r#"{"modes":"detect"}"#, "did you mean \"mode\"?"),
        (r#"{"timeout-ms":-5}"#, "`timeout-ms` is out of range"),
        (r#"{"timeout-ms":1.5}"#, "write timeout-ms 1"),
        (r#"{"timeout-ms":null}"#, "write timeout-ms 1"),
        (r#"{"limits":5}"#, "`limits`"),
        (r#"{"content-filter":{}}"#, "content-filter"),
        (r#"{"content-filter":{"block-patterns":[["a"]]}}"#, "`block-patterns` nests too deep"),
        (r#"{"limits":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}"#, "nests too deep"),
    ] {
        let refusal = refusal(json);
        assert!(refusal.contains(message), "{json}: {refusal}");
    }
    assert!(refusal(&format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20))).contains("1 MiB"));
}
