//! Each mistake is reported where it stands, with what to do.
#![allow(clippy::unwrap_used)]

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

/// A mistake in the one line of a block within an agent, where `place` stands first.
#[track_caller]
fn check_place(rule: &str, place: &str, message: &str, help: &str) {
    check_rule(rule, rule.find(place).unwrap() + 1, message, help);
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
    check_place(
        "validation { schema-type \"protobuf\"; schema-path \"Cargo.toml\" message=\"M\"; unknown-fields \"strip\"; discriminator \"/t\"; schema \"a\" path=\"Cargo.toml\" message=\"A\" }",
        "\"strip\"",
        "\"strip\" needs one type that all messages are read as",
        "leave out `path=`",
    );
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
fn rewrites_say_one_thing() {
    check_rule("rewrite { at \"/a\" }", 1, "this `rewrite` changes nothing", "add `remove`, set");
    check_rule("rewrite { mask }", 1, "`rewrite` needs `at`", "at \"/user/email\"");
    check_rule(
        "rewrite { at \"/a\"; remove; hash }",
        28,
        "`hash` has no place beside `remove`",
        "a `rewrite` for each change",
    );
    check_rule("rewrite { at \"/a\"; remove 1 }", 27, "`remove` has no value of its own", "write remove");
    check_rule("rewrite { at \"/a\"; mask keep=1 }", 25, "unknown property `keep`", "keep-last");
    check_rule(
        "rewrite { at \"/a\"; mask keep-last=-1 }",
        25,
        "`keep-last` is out of range",
        "from 0 to 1000",
    );
    check_rule("rewrite { at \"/a\"; set 99999999999999999999 }", 24, "this number can't be set", "64 bits");
    check_rule(
        "rewrite { at \"/a\"; hash key-file=\"nowhere\" }",
        25,
        "key file \"nowhere\" is missing",
        "16 bytes",
    );
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "short\n").unwrap();
    let small = format!("rewrite {{ at \"/a\"; hash key-file=\"{}\" }}", key.display());
    check_rule(&small, 25, "a key has 16 to 4096 bytes, and this has 5", "head -c 32 /dev/urandom");
    check_rule(
        "rewrite { at \"/a\"; remove; schema-type \"protobuf\" }",
        28,
        "schema-type \"protobuf\" needs `schema-path` with `message=`",
        "name the type with its package",
    );
    check_rule(
        "rewrite { at \"/a\"; remove; schema-path \"Cargo.toml\" }",
        28,
        "`schema-path` belongs to schema-type \"protobuf\": without it names say all",
        "remove it",
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
fn registries() {
    let json = |rest: &str| format!("validation {{ schema-type \"json\"; {rest} }}");
    let typed = |rest: &str| json(&format!("discriminator \"/t\"; {rest}"));
    let protobuf = |rest: &str| {
        format!("validation {{ schema-type \"protobuf\"; schema-path \"Cargo.toml\" message=\"M\"; {rest} }}")
    };
    let schema = "schema \"a\" path=\"Cargo.toml\"";
    let rule = json(schema);
    check_place(&rule, "schema \"a", "`schema` needs a `discriminator`", "discriminator \"/type\"");
    for (rest, place, message, help) in [
        ("discriminator \"t\"", "\"t\"", "\"t\" is not the place of a field", "\"/type\""),
        ("discriminator \"/t~\"", "\"/t~\"", "\"/t~\" is not the place of a field", "~0"),
        ("discriminator", "discriminator", "this `discriminator` names nothing", "oneof="),
        (
            "discriminator oneof=\"b\"",
            "oneof=",
            "`oneof` belongs to schema-type \"protobuf\"",
            "name a field",
        ),
        (
            "discriminator \"/a\" \"/b\"",
            "\"/b\"",
            "`discriminator` has one value; this is one too many",
            "discriminator \"/type\"",
        ),
    ] {
        check_place(&json(&format!("{rest}; {schema}")), place, message, help);
    }
    let both = "a `discriminator` is a field or a oneof, not both";
    check_place(
        &protobuf(&format!("discriminator \"/a\" oneof=\"b\"; {schema} message=\"A\"")),
        "oneof=",
        both,
        "",
    );
    for lonely in ["discriminator \"/type\"", "unknown-types \"allow\""] {
        let name = lonely.split(' ').next().unwrap();
        let message = format!("`{name}` has no meaning without `schema`");
        let rule = json(&format!("schema-path \"Cargo.toml\"; {lonely}"));
        check_place(&rule, lonely, &message, "add a schema for each type");
    }
    check_place(&typed("schema \"a\""), "schema \"a", "`schema` needs `path=`", "schemas/order.json");
    let twice = format!("{schema}; schema \"a\"  path=\"Cargo.toml\"");
    check_place(&typed(&twice), "\"a\"  ", "\"a\" is the name of an earlier schema already", "");
    let missing = typed("schema \"a\" path=\"no.json\"");
    check_place(&missing, "path=", "schema file \"no.json\" is missing", "a JSON Schema");
    let typed_message = typed(&format!("{schema} message=\"A\""));
    check_place(&typed_message, "message=", "`message` belongs to schema-type \"protobuf\"", "");
    let policy = typed(&format!("{schema}; unknown-types \"drop\""));
    check_place(&policy, "\"drop\"", "unknown unknown-types \"drop\"", "\"reject\"");
    let lacks_type = protobuf(&format!("discriminator oneof=\"b\"; {schema}"));
    check_place(&lacks_type, "path=", "of Protobuf `path=` and `message=` go together", "or neither");
    check_place(
        &protobuf(&format!("discriminator oneof=\"b\"; {schema} message=\"A\"; schema \"b\"")),
        "schema \"b\"",
        "this `schema` has no `message=`, and others of its validation have",
        "or none",
    );
    check_rule(
        "validation { schema-type \"protobuf\"; discriminator oneof=\"b\"; schema \"a\" }",
        1,
        "`validation` needs `schema-path`",
        "the type that has the discriminator",
    );
    let spoken = json("subprotocol \"a b\"; schema-path \"Cargo.toml\"");
    check_place(&spoken, "\"a b\"", "\"a b\" is not a subprotocol's name", "");
    // Once, though two rules would use it.
    let two = format!("discriminator \"t\"; {}; {0}", json(schema));
    check_place(&two, "\"t\"", "\"t\" is not the place of a field", "");
}

#[test]
fn rates() {
    let limit = |rest: &str| format!("rate-limit {{ messages-per-second 5; {rest} }}");
    let typed = |rest: &str| limit(&format!("per \"message-type\"; discriminator \"/t\"; {rest}"));
    for (rule, place, message, help) in [
        (limit("per \"client\""), "\"client\"", "unknown per \"client\"", "did you mean \"client-ip\"?"),
        (
            limit("max-clients 5"),
            "5 }",
            "`max-clients` has no meaning without per \"client-ip\"",
            "add per \"client-ip\"",
        ),
        (
            limit("per \"client-ip\"; max-types 6"),
            "6 }",
            "`max-types` has no meaning without per \"message-type\"",
            "",
        ),
        (limit("per \"client-ip\"; max-clients 0"), "0 }", "`max-clients` is out of range", "from 1"),
        (
            limit("per \"message-type\""),
            "per \"message",
            "this `rate-limit` needs a `discriminator`",
            "here or in the agent",
        ),
        (
            limit("discriminator \"/t\""),
            "discriminator",
            "`discriminator` has no meaning here without per \"message-type\" or `type`",
            "",
        ),
        (
            limit("format \"json\""),
            "format",
            "`format` has no meaning here without per \"message-type\" or `type`",
            "",
        ),
        (
            limit("type \"a\" cost=2"),
            "type \"a\"",
            "this `rate-limit` needs a `discriminator`",
            "discriminator \"/type\"",
        ),
        (limit("discriminator \"/t\"; type \"a\""), "type \"a\"", "this `type` says nothing", "cost=10"),
        (
            limit("discriminator \"/t\"; type \"a\" burst=3 messages-per-second=2"),
            "messages-per-second=2",
            "a type has no rate of its own here",
            "per \"message-type\"",
        ),
        (
            typed("type \"a\" burst=3"),
            "burst=3",
            "`burst` has no meaning without `messages-per-second`",
            "add `messages-per-second`",
        ),
        (
            typed("type \"a\" cost=6"),
            "cost=6",
            "this costs more than the burst of 5, so it would never pass",
            "raise `burst`",
        ),
        (typed("type \"a\" cost=0"), "cost=0", "`cost` is out of range", "from 1"),
        (
            typed("type \"a\" bytes-per-second=\"many\""),
            "bytes-per-second=",
            "`bytes-per-second` takes a size, not this text",
            "",
        ),
        (
            typed("format \"protobuf\""),
            "\"protobuf\"",
            "no `validation` says of which Protobuf type messages are",
            "add a `validation`",
        ),
        (
            typed("type \"a\" cost=2").replace("discriminator \"/t\"", "discriminator oneof=\"b\""),
            "oneof=",
            "`oneof` belongs to format \"protobuf\"",
            "",
        ),
        (limit("cost \"message\" bytes=5"), "bytes=5", "`bytes` has no meaning without cost \"size\"", ""),
        (
            "rate-limit { bytes-per-second 5; cost \"size\" }".to_owned(),
            "\"size\"",
            "`cost` has no meaning without `messages-per-second`",
            "",
        ),
        (
            "rate-limit { inflated-bytes-per-second 5; burst-bytes 6 }".to_owned(),
            "6 }",
            "`burst-bytes` has no meaning without `bytes-per-second`",
            "",
        ),
        ("violations { max 5 }".to_owned(), "violations", "`violations` needs `within-s`", "within-s 60"),
        ("violations { max 0; within-s 1 }".to_owned(), "0;", "`max` is out of range", "from 1"),
    ] {
        check_place(&rule, place, message, help);
    }
    let nothing = "rate-limit { per \"message-type\"; discriminator \"/t\"; type \"a\" }";
    check_rule(nothing, 1, "this `rate-limit` limits nothing", "messages-per-second 100");
}

#[test]
fn states() {
    let order = |rest: &str| format!("order {{ discriminator \"/t\"; {rest} }}");
    let state = "state \"a\" { on \"x\" to=\"b\" }; state \"b\" { on \"y\" }";
    for (rule, place, message, help) in [
        ("sequence { step 1 }".to_owned(), "sequence", "`sequence` needs `field`", "field \"/seq\""),
        (
            "sequence { field \"seq\" }".to_owned(),
            "\"seq\"",
            "\"seq\" is not the place of a field",
            "\"/order/price\"",
        ),
        (
            "sequence { field \"/seq\"; on-gap \"drop\" }".to_owned(),
            "\"drop\"",
            "`on-gap` has no meaning without `step`",
            "add step 1",
        ),
        ("sequence { field \"/seq\"; step 0 }".to_owned(), "0 }", "`step` is out of range", "from 1"),
        (
            "sequence { field \"/seq\"; max-keys 5000 }".to_owned(),
            "5000",
            "`max-keys` is out of range",
            "to 4096",
        ),
        (
            "sequence { field \"/seq\"; format \"protobuf\" }".to_owned(),
            "\"protobuf\"",
            "no `validation` says of which Protobuf type messages are",
            "",
        ),
        ("duplicate { action \"pass\" }".to_owned(), "\"pass\"", "unknown action \"pass\"", "\"alert\""),
        ("duplicate { key \"room\" }".to_owned(), "\"room\"", "\"room\" is not the place of a field", ""),
        ("duplicate { compare \"same\" }".to_owned(), "\"same\"", "unknown compare \"same\"", "\"similar\""),
        ("duplicate { max-repeats -1 }".to_owned(), "-1", "`max-repeats` is out of range", "from 0"),
        ("order { discriminator \"/t\" }".to_owned(), "order", "`order` needs `state`", "state \"lobby\""),
        (format!("order {{ {state} }}"), "order", "`order` needs a `discriminator`", "here or in the agent"),
        (
            order("state \"a\" { on \"x\" to=\"c\" }"),
            "to=",
            "this `order` has no state \"c\"",
            "the only known name is \"a\"",
        ),
        (
            order("state \"a\" { on \"x\"; on \"x\"  to=\"a\" }"),
            "\"x\"  ",
            "what follows \"x\" in this state is said already",
            "a direction of its own",
        ),
        (
            order("state \"a\" { on \"x\" direction=\"up\" }"),
            "direction=",
            "unknown direction \"up\"",
            "to-server",
        ),
        (
            order("state \"a\" { on \"x\" }; state \"a\"  { }"),
            "\"a\"  ",
            "\"a\" is the name of an earlier state already",
            "",
        ),
        (order("state \"a\" { of \"x\" }"), "of \"x\"", "unknown name `of`", "did you mean \"on\"?"),
        (
            format!("order {{ discriminator oneof=\"b\"; {state} }}"),
            "oneof=",
            "`oneof` belongs to format \"protobuf\"",
            "format \"protobuf\"",
        ),
    ] {
        check_place(&rule, place, message, help);
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
