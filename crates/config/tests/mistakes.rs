//! Each mistake is reported where it stands, with what to do.

use std::path::Path;

use wsi_config::{ConfigError, parse};

const AGENT: &str = "agent \"a\" { type \"websocket_inspector\" }\n";

fn error(text: &str) -> ConfigError {
    match parse("test.kdl", text, Path::new("")) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error,
    }
}

/// The one mistake of `text` as (line, column, message, help).
fn only(text: &str) -> (usize, usize, String, String) {
    let error = error(text);
    let [mistake] = error.mistakes() else { panic!("{text}\n{error}") };
    let Some((line, column)) = mistake.position() else { panic!("{text}\n{error}") };
    (line, column, mistake.to_string(), mistake.help().to_owned())
}

#[track_caller]
fn check(text: &str, at: (usize, usize), message: &str, help: &str) {
    let (line, column, found, found_help) = only(text);
    assert_eq!((line, column), at, "{text}\n{found}");
    assert_eq!(found, message, "{text}");
    assert!(found_help.contains(help), "{text}\n{found_help:?} lacks {help:?}");
}

/// A mistake in the one line of a block within an agent.
#[track_caller]
fn check_rule(rule: &str, column: usize, message: &str, help: &str) {
    let text = format!("agent \"a\" {{\n type \"websocket_inspector\"\n{rule}\n}}");
    check(&text, (3, column), message, help);
}

#[test]
fn names() {
    check("runtme { }", (1, 1), "unknown name `runtme`", "did you mean \"runtime\"?");
    check("zebra 1", (1, 1), "unknown name `zebra`", "known names: \"runtime\", \"listener\"");
    check("runtime {\n  shard 2\n}", (2, 3), "unknown name `shard`", "did you mean \"shards\"?");
    check("runtime { burst 2 }", (1, 11), "unknown name `burst`", "belongs into a `rate-limit` block");
    check("admin { bind \"[::1]:1\"; admin { } }", (1, 25), "unknown name `admin`", "outside of all blocks");
    check("runtime { shards 2 x=1 }", (1, 20), "unknown property `x`", "`shards` has no properties");
    check(
        "upstream \"u\" { server \"127.0.0.1:1\" wieght=2 }",
        (1, 37),
        "unknown property `wieght`",
        "did you mean \"weight\"?",
    );
    check(
        "upstream \"u\" { server \"127.0.0.1:1\" weight=2 weight=3 }",
        (1, 46),
        "the property `weight` may stand here only once",
        "remove",
    );
}

#[test]
fn counts_arguments_and_types() {
    check("runtime { }\nruntime { }", (2, 1), "`runtime` may stand here only once", "remove");
    check("runtime 1 { }", (1, 9), "`runtime` has no value of its own", "runtime { ... }");
    check(
        "runtime { shards 1 2 }",
        (1, 20),
        "`shards` has one value; this is one too many",
        "shards \"auto\"",
    );
    check("runtime { shards }", (1, 11), "`shards` needs a value", "shards \"auto\"");
    check("runtime { shards 1 { a } }", (1, 22), "`shards` has no block", "shards \"auto\"");
    check("admin { }", (1, 1), "`admin` needs `bind`", "bind \"127.0.0.1:9600\"");
    check(
        "runtime { max-connections \"9\" }",
        (1, 27),
        "`max-connections` takes a whole number, not this text",
        "",
    );
    check(
        "runtime { max-connections 0 }",
        (1, 27),
        "`max-connections` is out of range",
        "from 1 to 100000000",
    );
    check("runtime { max-connections -1 }", (1, 27), "`max-connections` is out of range", "from 1");
    check(
        "runtime { max-connections 1.5 }",
        (1, 27),
        "`max-connections` takes a whole number, not a number",
        "",
    );
    check("audit { path null }", (1, 14), "`path` takes a text, not null", "path \"...\"");
    check("audit { path \"\" }", (1, 14), "`path` is empty", "");
    check(
        "audit { path \"a\"; payload \"hush\" }",
        (1, 27),
        "unknown payload \"hush\"",
        "did you mean \"hash\"?",
    );
    check("admin { bind \"localhost:1\" }", (1, 14), "\"localhost:1\" is not an address", "127.0.0.1:8080");
    check(
        "runtime { shards \"3-1\" }",
        (1, 18),
        "`shards` is neither \"auto\", nor a count, nor a list of CPUs",
        "",
    );
}

#[test]
fn tolerances_keep_columns() {
    check("runtime { true 1; shards true; }", (1, 11), "Found invalid node name", "");
    check(
        "/* é [ */ runtime { shards true }",
        (1, 28),
        "`shards` is neither \"auto\", nor a count, nor a list of CPUs",
        "",
    );
    check_rule("events [\"ws_open\", true \"ws_close\"]", 20, "`events` takes a text, not true or false", "");
    check(
        "agent \"é\" { type \"websocket_inspector\"; events [\n\"ws_open\", // ]\n\"x\"]; mode \"detect\" }",
        (3, 1),
        "unknown events \"x\"",
        "\"ws_open\"",
    );
}

#[test]
fn routes() {
    let upstream = "upstream \"u\" { server \"127.0.0.1:1\" }\n";
    let with = |listener: &str| format!("{AGENT}{upstream}{listener}");
    let listener = |route: &str| with(&format!("listener \"l\" {{\nbind \"127.0.0.1:1\"\n{route}\n}}"));
    check(
        &with("listener \"l\" { bind \"[::1]:1\" }"),
        (3, 1),
        "`listener` needs `route`",
        "route \"/*\" upstream=",
    );
    check(&listener("route \"/*\""), (5, 1), "`route` needs `upstream=`", "upstream=\"name\"");
    check(
        &listener("route \"/*\" upstream=\"v\""),
        (5, 12),
        "there is no upstream \"v\"",
        "the only known name is \"u\"",
    );
    check(
        &listener("route \"/*\" upstream=\"u\" agent=\"chat\""),
        (5, 25),
        "there is no agent \"chat\"",
        "\"a\"",
    );
    check(&listener("route \"x\" upstream=\"u\""), (5, 7), "\"x\" is not a path", "begin it with `/`");
    check(&listener("route \"/*/x\" upstream=\"u\""), (5, 7), "\"/*/x\" is not a path", "at its end");
    check(
        &listener("route \"/\" upstream=\"u\" host=\"a:80\""),
        (5, 24),
        "\"a:80\" is not a host name",
        "port",
    );
    let two = format!(
        "{}\nagent \"b\" {{ type \"websocket_inspector\" }}",
        listener("route \"/*\" upstream=\"u\"\n")
    );
    check(&two, (5, 1), "this route doesn't say which agent inspects it", "\"a\", \"b\"");
    let pair = "listener \"l\" { bind \"[::1]:1\"; route \"/*\" upstream=\"u\" }\n";
    let found = error(&with(&pair.repeat(2)));
    let found: Vec<_> =
        found.mistakes().iter().map(|one| (one.position().unwrap(), one.to_string())).collect();
    assert_eq!(
        found,
        [
            ((4, 10), "\"l\" is the name of an earlier listener already".to_owned()),
            ((4, 21), "a listener has the address [::1]:1 already".to_owned()),
        ]
    );
}

#[test]
fn servers() {
    check("upstream \"u\" { }", (1, 1), "`upstream` needs `server`", "server \"127.0.0.1:9001\"");
    check("upstream \"u\" { server \"h\" }", (1, 23), "\"h\" is not a host with a port", "[::1]:9001");
    check("upstream \"u\" { server \"[::1]:1\" weight=0 }", (1, 33), "`weight` is out of range", "from 1");
    check(
        "upstream \"u\" { server \"[::1]:1\" }\nupstream \"u\" { server \"[::1]:1\" }",
        (2, 10),
        "\"u\" is the name of an earlier upstream already",
        "",
    );
    // ".invalid" never resolves (RFC 6761 section 6.4).
    let (line, column, message, help) = only("upstream \"u\" { server \"host.invalid:1\" }");
    assert_eq!((line, column), (1, 23));
    assert!(message.starts_with("\"host.invalid:1\" can't be resolved"), "{message}");
    assert!(help.contains("resolver"));
}

#[test]
fn agents() {
    check("agent \"a\" { }", (1, 1), "`agent` needs `type`", "websocket_inspector");
    check("agent \"a\" { type \"waf\" }", (1, 18), "unknown type \"waf\"", "\"websocket_inspector\"");
    check(&AGENT.repeat(2), (2, 7), "\"a\" is the name of an earlier agent already", "");
    check_rule("events \"ws_opened\"", 8, "unknown events \"ws_opened\"", "did you mean \"ws_open\"?");
    check_rule("events []", 1, "`events` needs a value", "");
    check_rule("failure-mode \"close\"", 14, "unknown failure-mode \"close\"", "did you mean \"closed\"?");
    check_rule("timeout-ms 0", 12, "`timeout-ms` is out of range", "from 1");
    check_rule("transport \"grpc\" { path \"x\" }", 11, "unknown transport \"grpc\"", "\"unix_socket\"");
    check_rule("transport \"unix_socket\"", 1, "`transport` needs `path`", "path \"inspector.sock\"");
    check_rule(
        "limits { max-frame-size \"1 mile\" }",
        25,
        "`max-frame-size` takes a size, not this text",
        "64KiB",
    );
    check_rule("limits { max-frame-size \"2GiB\" }", 25, "`max-frame-size` is out of range", "to 1GiB");
    check_rule(
        "handshake { allow-origins \"*\" }",
        27,
        "\"*\" is not an origin",
        "leave `allow-origins` out",
    );
    check_rule(
        "handshake { allow-origins \"https://a/\" }",
        27,
        "\"https://a/\" is not an origin",
        "https://app",
    );
    check_rule(
        "handshake { subprotocols \"a, b\" }",
        26,
        "\"a, b\" is not a subprotocol's name",
        "one name a value",
    );
}

#[test]
fn rules() {
    check_rule(
        "rate-limit { burst 2; bytes-per-second 1 }",
        20,
        "`burst` has no meaning without `messages-per-second`",
        "",
    );
    check_rule(
        "rate-limit { per \"connection\" }",
        1,
        "this `rate-limit` limits nothing",
        "messages-per-second 100",
    );
    check_rule(
        "content-filter { direction \"both\" }",
        1,
        "this `content-filter` blocks nothing",
        "block-patterns",
    );
    check_rule("content-filter { rules \"xxs\" }", 24, "unknown rules \"xxs\"", "did you mean \"xss\"?");
    check_rule(
        "content-filter { block-patterns \"/a/x\" }",
        33,
        "unknown or repeated flag `x` after the expression",
        "flags are i",
    );
    check_rule(
        "content-filter { block-patterns \"/a\" }",
        33,
        "the expression /a has no closing `/`",
        "end it",
    );
    check_rule("content-filter { block-patterns \"\" }", 33, "`block-patterns` is empty", "");
    check_rule("content-filter { block-patterns \"/a\\(/\" }", 36, "`\\(` is not an escape of KDL", "`\\\\`");
    check_rule(
        "content-filter { rules \"xss\"; normalize \"json\" \"none\" }",
        31,
        "`normalize \"none\"` says that nothing is undone, and the other values what is",
        "",
    );
    check_rule("validation { schema-type \"json\" }", 1, "`validation` needs `schema-path`", "");
    check_rule(
        "validation { schema-type \"protobuf\"; schema-path \"Cargo.toml\" }",
        38,
        "schema-type \"protobuf\" needs `message=`",
        "message=\"trade.Order\"",
    );
    for (name, column) in [("message", 59), ("constraints", 59)] {
        check_rule(
            &format!("validation {{ schema-type \"json\"; schema-path \"Cargo.toml\" {name}=\"M\" }}"),
            column,
            &format!("`{name}` belongs to schema-type \"protobuf\""),
            "remove it",
        );
    }
    check_rule(
        "validation { schema-type \"msgpack\"; schema-path \"Cargo.toml\"; unknown-fields \"allow\" }",
        78,
        "`unknown-fields` belongs to schema-type \"protobuf\"",
        "remove it",
    );
    check_rule(
        "validation { schema-type \"protobuf\"; schema-path \"Cargo.toml\" message=\"M\" constraints=\"missing.json\" }",
        75,
        "schema file \"missing.json\" is missing",
        "a JSON Schema",
    );
}

#[test]
fn replies_are_short() {
    let rule =
        format!("rate-limit {{ messages-per-second 1; action \"drop\"; reply \"{}\" }}", "x".repeat(4097));
    check_rule(&rule, 58, "this reply is longer than 4096 bytes", "a code or a link");
    check_rule("rate-limit { messages-per-second 1; reply \"\" }", 43, "`reply` is empty", "");
}

#[test]
fn what_is_not_built_is_refused() {
    for (rule, column, what) in [
        ("rate-limit { messages-per-second 1; per \"client-ip\" }", 41, "per \"client-ip\""),
        ("rate-limit { messages-per-second 1; per \"message-type\" }", 41, "per \"message-type\""),
    ] {
        check_rule(rule, column, &format!("`{what}` is not built yet: it is refused, not ignored"), "");
    }
}

#[test]
fn all_mistakes_are_reported_in_order() {
    let found = error("runtime {\n  shards 0\n  drain 3\n}\nadmin { bind \"x\" }\nzebra");
    let lines: Vec<_> = found.mistakes().iter().map(|mistake| mistake.position().unwrap().0).collect();
    assert_eq!(lines, [2, 3, 5, 6]);
    let many = error(&"zebra\n".repeat(150));
    assert_eq!(many.mistakes().len(), 100);
    assert!(many.to_string().ends_with("50 more mistakes are not shown."));
}

#[test]
fn the_report_shows_the_line() {
    let error = error("runtime {\n    shrads true\n}");
    let report = error.render(false);
    for part in [
        "[test.kdl:2:5]",
        "unknown name `shrads`",
        "2 │     shrads true",
        "──────",
        "did you mean \"shards\"?",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains('\u{1b}'));
    assert!(error.render(true).contains('\u{1b}'));
    assert_eq!(error.to_string(), report.trim_end());
}
