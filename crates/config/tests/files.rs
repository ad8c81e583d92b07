//! Whole configurations: the contract, the published preview, the demo.

use std::fs;
use std::path::Path;

use wsi_config::{FILE_SIZE_MAX, KNOWN_RULE_SETS, Payload, Shards, load, parse};
use wsi_policy::CloseCode;
use wsi_policy::{
    Action, Change, Compare, Cost, Directions, Discriminator, Duplicate, EventKind, FailureMode, HashKey,
    Limits, Literal, MessageFormat, MessageTypes, Mode, Normalize, Order, Pattern, Per, PolicyId, Rate,
    Rates, Reading, Registry, RewriteFormat, Route, SchemaType, Sequence, State, StateCheck, Transition,
    TypeRate, TypeRates, TypeSchema, UnknownFields, UnknownTypes, UpstreamId, Violations,
};

const PREVIEW: &str = include_str!("../../../config/preview.kdl");
const CONTRACT: &str = include_str!("contract.kdl");

const CLOSE_1007: Action = Action::Close(CloseCode::INVALID_PAYLOAD);
const CLOSE_1008: Action = Action::Close(CloseCode::POLICY_VIOLATION);

/// Each stands at its own line of the file, and nothing is unknown or not built.
#[test]
fn of_the_contract_only_files_are_missing() {
    let error = parse("contract.kdl", CONTRACT, Path::new("")).unwrap_err();
    let found: Vec<_> = error
        .mistakes()
        .iter()
        .map(|mistake| {
            let line = CONTRACT.lines().nth(mistake.position().unwrap().0 - 1).unwrap();
            let rest: String = line.chars().skip(mistake.position().unwrap().1 - 1).collect();
            (mistake.to_string(), rest.split([' ', ';']).next().unwrap().to_owned())
        })
        .collect();
    let expected = [
        ("file \"cert.pem\" is missing", "\"cert.pem\""),
        ("file \"key.pem\" is missing", "\"key.pem\""),
        ("file \"ca.pem\" is missing", "\"ca.pem\""),
        ("file \"ca.pem\" is missing", "\"ca.pem\""),
        ("schema file \"config/schemas/order.json\" is missing", "\"config/schemas/order.json\""),
    ];
    assert_eq!(found, expected.map(|(message, at)| (message.to_owned(), at.to_owned())), "{error}");
}

#[test]
fn the_preview_without_its_schema_says_which_file_is_missing() {
    let text = PREVIEW.replace("/etc/sentinel/ws-schema.json", "/nonexistent/ws-schema.json");
    let error = parse("preview.kdl", &text, Path::new("")).unwrap_err();
    let [mistake] = error.mistakes() else { panic!("{error}") };
    assert_eq!(mistake.to_string(), "schema file \"/nonexistent/ws-schema.json\" is missing");
    assert_eq!(mistake.position(), Some((12, 21)));
    assert!(mistake.help().contains("create /nonexistent/ws-schema.json"), "{}", mistake.help());
    assert!(error.to_string().contains("[preview.kdl:12:21]"), "{error}");
}

#[test]
fn the_preview_with_its_schema_is_valid_and_serves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let schema = folder.path().join("ws-schema.json");
    fs::write(&schema, "{}").unwrap();
    let text = PREVIEW.replace("/etc/sentinel/ws-schema.json", schema.to_str().unwrap());
    let configuration = parse("preview.kdl", &text, Path::new("")).unwrap();
    assert!(configuration.settings.listeners.is_empty());
    assert!(configuration.ruleset.routes.is_empty());
    assert_eq!(configuration.warnings, []);

    let [policy] = configuration.ruleset.policies.as_slice() else { panic!() };
    assert_eq!(policy.name, "websocket-inspector");
    let transport = policy.transport.as_ref().unwrap();
    assert_eq!(transport.path, Path::new("/var/run/sentinel/ws-inspector.sock"));
    assert_eq!((transport.mode, transport.sessions_max, transport.age_max_s), (0o660, 65_536, None));
    let events = EventKind::ALL.map(|kind| policy.events.contains(kind));
    assert_eq!(events, [true, false, true, false, false, true]);
    assert_eq!((policy.timeout_ms, policy.failure_mode, policy.mode), (50, FailureMode::Open, Mode::Enforce));
    assert_eq!(policy.limits, Limits::default());

    let [validation] = policy.validations.as_slice() else { panic!() };
    assert_eq!((validation.name.as_str(), &validation.schema_type), ("validation-1", &SchemaType::Json));
    assert_eq!(validation.schema_path.as_ref(), Some(&schema));
    assert_eq!((validation.directions, validation.messages), (Directions::Both, MessageTypes::Text));
    assert_eq!(validation.action, CLOSE_1007);

    let [rate] = policy.rate_limits.as_slice() else { panic!() };
    assert_eq!((rate.rates.messages, rate.rates.bytes), (Some(Rate { per_second: 100, burst: 200 }), None));
    assert_eq!(
        (rate.name.as_str(), rate.directions, rate.action),
        ("rate-limit-1", Directions::ToServer, CLOSE_1008)
    );

    let [filter] = policy.content_filters.as_slice() else { panic!() };
    let regex = |expression: &str| Pattern::Regex { expression: expression.into(), flags: String::new() };
    assert_eq!(filter.patterns, [regex("exec\\("), regex("eval\\(")]);
    assert_eq!((filter.name.as_str(), filter.message_size_max), ("content-filter-1", Some(65_536)));
    assert_eq!(
        (filter.directions, filter.action, filter.normalize),
        (Directions::Both, CLOSE_1008, Normalize::default())
    );
}

#[test]
fn the_demo_is_valid_and_has_no_warnings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/demo.kdl");
    let configuration = load(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(configuration.warnings, []);
    let settings = &configuration.settings;
    assert_eq!(settings.listeners[0].bind, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(settings.upstreams[0].servers[0].address, "127.0.0.1:9001".parse().unwrap());
    assert_eq!(settings.admin.as_ref().unwrap().bind, "127.0.0.1:9600".parse().unwrap());
    let audit = settings.audit.as_ref().unwrap();
    assert_eq!((audit.path.as_path(), audit.payload), (Path::new("audit.jsonl"), Payload::Redacted));
    assert_eq!((&settings.runtime.shards, settings.runtime.connections_max), (&Shards::Auto, 1_000_000));
    let route = Route { path: "/*".into(), host: None, upstream: UpstreamId(0), policy: PolicyId(0) };
    assert_eq!(configuration.ruleset.routes, [[route]]);
    let policy = &configuration.ruleset.policies[0];
    assert_eq!(policy.failure_mode, FailureMode::Closed);
    assert_eq!(policy.content_filters[0].rule_sets, KNOWN_RULE_SETS);
    assert_eq!(policy.rate_limits[0].rates.messages, Some(Rate { per_second: 20, burst: 40 }));
    assert!(policy.validations[0].schema_path.as_ref().unwrap().ends_with("schemas/chat.json"));
    let events = EventKind::ALL.map(|kind| policy.events.contains(kind));
    assert_eq!(events, [true, true, false, false, false, true]);
}

/// Each value is the opposite of its default, so that none is read from the wrong place.
#[test]
fn every_value_reaches_its_place() {
    let text = r#"
        runtime { shards "0-1,4"; max-connections 7; max-memory "3MiB"; drain-timeout-s 8 }
        listener "l" {
            bind "[::1]:81"; proxy-protocol false
            route "/a" upstream="u2" agent="b" host="h.example"
            route "/b/*" upstream="u1" agent="a"
        }
        listener "m" { bind "127.0.0.1:82"; route "/*" upstream="u1" agent="a" }
        upstream "u1" { server "127.0.0.1:1" }
        upstream "u2" { server "127.0.0.1:2" weight=3; server "localhost:4"; connect-timeout-ms 5 }
        agent "a" {
            type "websocket_inspector"; timeout-ms 9; mode "detect"
            handshake { allow-origins "https://x:1" "null"; subprotocols ["s", "t"]; compression "refuse"; timeout-ms 10 }
            limits {
                max-message-size "2MiB"; max-frame-size 11; max-held-size 4096; control-frames-per-second 17; max-fragments 12; max-inflate-ratio 16
                message-timeout-ms 13; write-timeout-ms 21; idle-timeout-s 14; max-json-depth 15; max-normalize-depth 3
            }
            validation {
                schema-type "json"; schema-path "Cargo.toml"; direction "to-client"; opcode "any"; reject-invalid false
            }
            validation { schema-type "json"; schema-path "Cargo.toml"; action "drop"; opcode "binary" }
            rate-limit { bytes-per-second 100; direction "both"; action "drop"; per "connection" }
            rate-limit { bytes-per-second "1MiB"; burst-bytes 5; messages-per-second 6 }
            content-filter { block-patterns "lit" "/re/is"; action "alert"; normalize "none"; direction "to-server" }
            content-filter { max-message-size "4MiB"; action "drop"; normalize "json" "base64" }
        }
        agent "b" { type "websocket_inspector" }
        admin { bind "0.0.0.0:9" }
    "#;
    let configuration = parse("all.kdl", text, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    let settings = &configuration.settings;
    assert_eq!(settings.runtime.shards, Shards::Cpus(vec![0, 1, 4]));
    assert_eq!((settings.runtime.connections_max, settings.runtime.drain_timeout_s), (7, 8));
    let names: Vec<_> = settings.listeners.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(names, ["l", "m"]);
    let second = &settings.upstreams[1];
    let weights: Vec<_> =
        second.servers.iter().map(|server| (server.address.port(), server.weight.get())).collect();
    assert_eq!((weights.as_slice(), second.connect_timeout_ms), (&[(2, 3), (4, 1)][..], 5));
    let routes = &configuration.ruleset.routes;
    assert_eq!((routes[0].len(), routes[1].len()), (2, 1));
    assert_eq!(routes[0][0].host.as_deref(), Some("h.example"));
    assert_eq!((routes[0][0].upstream, routes[0][0].policy), (UpstreamId(1), PolicyId(1)));
    assert_eq!((routes[0][1].upstream, routes[0][1].policy), (UpstreamId(0), PolicyId(0)));

    let policy = &configuration.ruleset.policies[0];
    assert_eq!((policy.timeout_ms, policy.mode, policy.failure_mode), (9, Mode::Detect, FailureMode::Closed));
    assert_eq!(policy.handshake.origins.as_deref(), Some(&["https://x:1".to_owned(), "null".to_owned()][..]));
    assert_eq!(policy.handshake.subprotocols.as_deref(), Some(&["s".to_owned(), "t".to_owned()][..]));
    assert_eq!(policy.handshake.compression, wsi_policy::Compression::Refuse);
    assert_eq!(policy.handshake.timeout_ms, 10);
    assert_eq!(configuration.settings.runtime.memory_max, Some(3 << 20));
    let limits = Limits {
        frame_size_max: Some(11),
        message_size_max: 2 << 20,
        held_size_max: 4096,
        fragments_max: 12,
        inflate_ratio_max: 16,
        control_frames_per_second: 17,
        message_timeout_ms: 13,
        write_timeout_ms: 21,
        idle_timeout_s: 14,
        json_depth_max: 15,
        normalize_depth_max: 3,
    };
    assert_eq!(policy.limits, limits);
    let validations: Vec<_> = policy
        .validations
        .iter()
        .map(|one| (one.name.as_str(), one.directions, one.messages, one.action))
        .collect();
    assert_eq!(
        validations,
        [
            ("validation-1", Directions::ToClient, MessageTypes::Any, Action::Alert),
            ("validation-2", Directions::Both, MessageTypes::Binary, Action::Drop),
        ]
    );
    let [first, second] = policy.rate_limits.as_slice() else { panic!() };
    assert_eq!((first.rates.messages, first.rates.bytes), (None, Some(Rate { per_second: 100, burst: 100 })));
    assert_eq!((first.directions, first.action), (Directions::Both, Action::Drop));
    assert_eq!(second.rates.messages, Some(Rate { per_second: 6, burst: 6 }));
    assert_eq!(second.rates.bytes, Some(Rate { per_second: 1 << 20, burst: 5 }));
    let [first, second] = policy.content_filters.as_slice() else { panic!() };
    assert_eq!(
        first.patterns,
        [Pattern::Literal("lit".into()), Pattern::Regex { expression: "re".into(), flags: "is".into() }]
    );
    assert_eq!(
        (first.action, first.normalize, first.directions),
        (Action::Alert, Normalize::NONE, Directions::ToServer)
    );
    assert_eq!((second.action, second.message_size_max), (Action::Drop, Some(4 << 20)));
    assert_eq!(second.normalize, Normalize { json: true, base64: true, ..Normalize::NONE });

    let warnings: Vec<_> =
        configuration.warnings.iter().map(|warning| (warning.line, warning.text.as_str())).collect();
    assert_eq!(
        warnings,
        [(28, "admin listens on 0.0.0.0:9, beyond this machine: whoever reaches it may look"),]
    );
}

#[test]
fn schemas_by_type_and_subprotocol() {
    let text = r#"agent "a" {
        type "websocket_inspector"
        discriminator "/type"
        handshake { subprotocols "v1" }
        validation { schema-type "json"; subprotocol "v1" "v2"; schema "order" path="Cargo.toml"; schema "1" path="Cargo.toml" }
        validation {
            schema-type "protobuf"; schema-path "Cargo.toml" message="a.Envelope"; unknown-types "allow"
            discriminator oneof="body"; schema "order" constraints="Cargo.toml"; schema "note"
        }
        validation {
            schema-type "protobuf"; schema-path "Cargo.toml" message="a.Head"
            schema "order" path="Cargo.toml" message="a.Order"
        }
    }"#;
    let configuration = parse("a.kdl", text, Path::new("")).unwrap();
    let [json, oneof, head] = configuration.ruleset.policies[0].validations.as_slice() else { panic!() };
    let file = || Path::new("Cargo.toml").to_owned();
    let plain = |name: &str| TypeSchema { name: name.into(), read_as: None, schema_path: None };
    assert_eq!((&json.schema_path, &json.schema_type), (&None, &SchemaType::Json));
    assert_eq!(json.subprotocols, Some(vec!["v1".into(), "v2".into()]));
    assert!(json.holds_for(Some("v2")) && !json.holds_for(Some("v3")) && !json.holds_for(None));
    assert!(oneof.holds_for(Some("v3")) && oneof.holds_for(None));
    let with_file = |name| TypeSchema { schema_path: Some(file()), ..plain(name) };
    let registry = |discriminator, types, unknown_types| Registry { discriminator, types, unknown_types };
    let by_type = Discriminator::Field("/type".into());
    assert_eq!(
        json.registry,
        Some(registry(by_type.clone(), vec![with_file("order"), with_file("1")], UnknownTypes::Reject))
    );
    let types = vec![with_file("order"), plain("note")];
    let by_member = Discriminator::Oneof("body".into());
    assert_eq!(oneof.registry, Some(registry(by_member, types, UnknownTypes::Allow)));
    let order = TypeSchema { read_as: Some((file(), "a.Order".into())), ..plain("order") };
    assert_eq!(head.registry, Some(registry(by_type, vec![order], UnknownTypes::Reject)));
    let warnings: Vec<_> = configuration.warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(warnings, ["no connection can agree on \"v2\": `subprotocols` of `handshake` lacks it"]);
}

#[test]
fn rates_by_type_client_and_size() {
    let text = r#"agent "a" {
        type "websocket_inspector"
        discriminator "/type"
        violations { max 5; within-s 60; direction "to-server" }
        rate-limit { per "client-ip"; inflated-bytes-per-second "1KiB"; burst-inflated-bytes "2KiB" }
        rate-limit {
            per "message-type"; max-types 0; messages-per-second 5; cost "size" bytes="4KiB"
            type "order" messages-per-second=2 burst=9 bytes-per-second="1KiB" cost=3
            type "7"
        }
        rate-limit { messages-per-second 5; opcode "any"; discriminator oneof="body"; type "chat" cost=2 }
        validation { schema-type "protobuf"; schema-path "Cargo.toml" message="a.Envelope"; unknown-fields "allow" }
        rate-limit { messages-per-second 5; format "json"; type "chat" cost=2 }
    }"#;
    let policy = parse("a.kdl", text, Path::new("")).unwrap().ruleset.policies.remove(0);
    let [client, by_type, by_member, json] = policy.rate_limits.as_slice() else { panic!() };
    let violations = Violations { max: 5, within_s: 60, directions: Directions::ToServer };
    assert_eq!(policy.violations, Some(violations));
    let rate = |per_second, burst| Some(Rate { per_second, burst });
    assert_eq!(client.rates, Rates { inflated_bytes: rate(1024, 2048), ..Rates::default() });
    assert_eq!(
        (client.per, client.cost, &client.types),
        (Per::Client { clients_max: 65_536 }, Cost::Message, &None)
    );
    assert_eq!((by_type.per, by_type.cost), (Per::MessageType { types_max: 0 }, Cost::Size(4096)));
    let protobuf = MessageFormat::Protobuf {
        path: "Cargo.toml".into(),
        message: "a.Envelope".into(),
        unknown_fields: UnknownFields::Allow,
    };
    let rates = Rates { messages: rate(2, 9), bytes: rate(1024, 1024), inflated_bytes: None };
    let types = TypeRates {
        reading: Reading { format: protobuf.clone(), messages: MessageTypes::Binary },
        discriminator: Discriminator::Field("/type".into()),
        types: vec![
            TypeRate { name: "order".into(), cost: 3, rates },
            TypeRate { name: "7".into(), cost: 1, rates: Rates::default() },
        ],
    };
    assert_eq!(by_type.types, Some(types));
    let by_member = by_member.types.as_ref().unwrap();
    assert_eq!(by_member.reading, Reading { format: protobuf, messages: MessageTypes::Any });
    assert_eq!(by_member.discriminator, Discriminator::Oneof("body".into()));
    let reading = Reading { format: MessageFormat::Json, messages: MessageTypes::Text };
    assert_eq!(json.types.as_ref().unwrap().reading, reading);
}

#[test]
fn rules_with_a_memory() {
    let text = r#"agent "a" {
        type "websocket_inspector"
        discriminator "/type"
        order {
            state "in" { on "login" to="open" direction="to-server"; on "login" direction="to-client" }
            state "open" { on "chat" }
            state "lost" { on "chat" to="in" }
            key "/id"; direction "to-server"; action "drop"; unknown-types "allow"; max-keys 7
        }
        sequence { field "/seq"; step 2; on-gap "alert"; on-repeat "drop"; key "/symbol" }
        sequence { field "/n"; format "msgpack" }
        duplicate { within-ms 500; compare "similar"; window 20; max-repeats 1; action "close"; direction "both"; opcode "any" }
    }"#;
    let configuration = parse("a.kdl", text, Path::new("")).unwrap();
    let policy = &configuration.ruleset.policies[0];
    let [sequence, plain, order, duplicate] = policy.states.as_slice() else { panic!() };
    let names: Vec<_> = policy.states.iter().map(|rule| rule.name.as_str()).collect();
    assert_eq!(names, ["sequence-1", "sequence-2", "order-1", "duplicate-1"]);
    let check =
        Sequence { field: "/seq".into(), step: Some(2), on_gap: Action::Alert, on_repeat: Action::Drop };
    assert_eq!(sequence.check, StateCheck::Sequence(check));
    assert_eq!((sequence.key.as_deref(), sequence.keys_max), (Some("/symbol"), 1024));
    assert_eq!(sequence.directions, Directions::ToServer);
    let check = Sequence { field: "/n".into(), step: None, on_gap: CLOSE_1008, on_repeat: CLOSE_1008 };
    assert_eq!(plain.check, StateCheck::Sequence(check));
    let reading = Reading { format: MessageFormat::MessagePack, messages: MessageTypes::Binary };
    assert_eq!((&plain.reading, plain.key.as_deref()), (&reading, None));
    let on = |kind: &str, directions, to| Transition { kind: kind.into(), directions, to };
    let state = |name: &str, transitions| State { name: name.into(), transitions };
    let check = Order {
        discriminator: Discriminator::Field("/type".into()),
        states: vec![
            state("in", vec![on("login", Directions::ToServer, 1), on("login", Directions::ToClient, 0)]),
            state("open", vec![on("chat", Directions::Both, 1)]),
            state("lost", vec![on("chat", Directions::Both, 0)]),
        ],
        unknown_types: UnknownTypes::Allow,
        action: Action::Drop,
    };
    assert_eq!(order.check, StateCheck::Order(check));
    assert_eq!(
        (order.key.as_deref(), order.keys_max, order.directions),
        (Some("/id"), 7, Directions::ToServer)
    );
    let check = Duplicate {
        field: None,
        compare: Compare::Similar,
        within_ms: 500,
        repeats_max: 1,
        action: CLOSE_1008,
    };
    assert_eq!(duplicate.check, StateCheck::Duplicate(check));
    assert_eq!((duplicate.keys_max, duplicate.directions), (20, Directions::Both));
    assert_eq!(duplicate.reading.messages, MessageTypes::Any);
    let warnings: Vec<_> = configuration.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["a.kdl:7:19 no message leads to the state \"lost\""]);
}

#[test]
fn what_no_route_uses_is_warned_of() {
    let text = "listener \"l\" { bind \"[::1]:1\"; route \"/\" upstream=\"u\" agent=\"a\" }
        upstream \"u\" { server \"[::1]:2\" }
        upstream \"spare\" { server \"[::1]:2\" }
        agent \"a\" { type \"websocket_inspector\" }
        agent \"b\" { type \"websocket_inspector\" }";
    let warnings: Vec<_> =
        parse("w.kdl", text, Path::new("")).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["w.kdl:3:18 upstream \"spare\" is used by no route", "w.kdl:5:15 agent \"b\" is used by no route"]
    );
}

#[test]
fn replies_belong_to_what_drops() {
    let text = r#"agent "a" {
        type "websocket_inspector"
        transport "unix_socket" { path "x.sock" }
        content-filter { rules "xss"; action "drop"; reply "no" }
        content-filter { rules "xss"; reply "no" }
        rate-limit { messages-per-second 1; action "drop"; reply "slower" }
        validation { schema-type "json"; schema-path "Cargo.toml"; reject-invalid false; reply "wrong" }
    }"#;
    let configuration = parse("r.kdl", text, Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    let policy = &configuration.ruleset.policies[0];
    let replies: Vec<_> = policy.content_filters.iter().map(|filter| filter.reply.as_deref()).collect();
    assert_eq!(replies, [Some("no"), None]);
    assert_eq!(policy.rate_limits[0].reply.as_deref(), Some("slower"));
    assert_eq!(policy.validations[0].reply, None);
    let warned = |what: &str| -> Vec<_> {
        let about = configuration.warnings.iter().filter(|warning| warning.text.contains(what));
        about.map(|warning| warning.line).collect()
    };
    assert_eq!(warned("its action is another"), [5, 7]);
    assert_eq!(warned("behind a Sentinel proxy"), [4, 5, 6, 7]);
}

#[test]
fn rewrites() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    fs::write(&key, "0123456789abcdef\n").unwrap();
    let text = format!(
        r#"agent "a" {{
        type "websocket_inspector"
        rewrite {{ at "/a"; remove }}
        rewrite {{ at "/b/*"; set ""; direction "to-client"; opcode "any" }}
        rewrite {{ at "/c"; mask keep-last=4; schema-type "msgpack" }}
        rewrite {{ at "/d"; hash key-file="{}"; schema-type "protobuf"; schema-path "Cargo.toml" message="M" }}
        rewrite {{ at "/e"; hash }}
        rewrite {{ at "/f"; set null }}
        rewrite {{ at "/g"; set 1.5 }}
        rewrite {{ at "/h"; hash }}
    }}"#,
        key.display()
    );
    let policy = |text: &str| parse("r.kdl", text, Path::new("")).unwrap().ruleset.policies[0].clone();
    let rewrites = policy(&text).rewrites;
    let names: Vec<_> = rewrites.iter().map(|rewrite| (rewrite.name.as_str(), rewrite.at.as_str())).collect();
    assert_eq!(names[..2], [("rewrite-1", "/a"), ("rewrite-2", "/b/*")]);
    assert_eq!((rewrites[0].directions, rewrites[0].messages), (Directions::Both, MessageTypes::Text));
    assert_eq!((rewrites[1].directions, rewrites[1].messages), (Directions::ToClient, MessageTypes::Any));
    assert_eq!(rewrites[2].messages, MessageTypes::Binary);
    let changes: Vec<_> = rewrites.iter().map(|rewrite| rewrite.change.clone()).collect();
    assert_eq!(changes[0], Change::Remove);
    assert_eq!(changes[1], Change::Set(Literal::Text(String::new())));
    assert_eq!(changes[2], Change::Mask { keep_last: 4 });
    assert_eq!(changes[3], Change::Hash(HashKey::new(b"0123456789abcdef")));
    assert_eq!((&changes[5], &changes[6]), (&Change::Set(Literal::Null), &Change::Set(Literal::Float(1.5))));
    // The same as long as the process lives.
    assert_eq!(changes[4], changes[7]);
    assert_eq!(policy(&text).rewrites[4].change, changes[4]);
    assert!(!format!("{:?}", changes[3]).contains("abcdef"), "a secret is not shown");
    let RewriteFormat::Protobuf { schema_path, message } = &rewrites[3].format else { panic!() };
    assert_eq!((schema_path.as_path(), message.as_str()), (Path::new("Cargo.toml"), "M"));
}

#[test]
fn schemas_are_found_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let agent = |path: &str| {
        format!(
            "agent \"a\" {{ type \"websocket_inspector\"; validation {{ schema-type \"json\"; schema-path \"{path}\" }} }}"
        )
    };
    let file = folder.path().join("c.kdl");
    fs::write(folder.path().join("only-beside.json"), "{}").unwrap();
    fs::write(&file, agent("only-beside.json")).unwrap();
    let found = load(&file).unwrap().ruleset.policies[0].validations[0].schema_path.clone();
    assert_eq!(found, Some(folder.path().join("only-beside.json")));
    // Tests run in the package's folder.
    fs::write(folder.path().join("Cargo.toml"), "{}").unwrap();
    fs::write(&file, agent("Cargo.toml")).unwrap();
    let found = load(&file).unwrap().ruleset.policies[0].validations[0].schema_path.clone();
    assert_eq!(found.as_deref(), Some(Path::new("Cargo.toml")));
    fs::write(&file, agent("src")).unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("schema file \"src\" is a folder"));
}

#[test]
fn files_that_are_no_text_or_too_large_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.kdl");
    assert!(load(&file).unwrap_err().to_string().contains("can't be read"));
    fs::write(&file, b"runtime {\n \xff }").unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("c.kdl:2:2: the configuration is not UTF-8 text"));
    let size = usize::try_from(FILE_SIZE_MAX).unwrap();
    fs::write(&file, " ".repeat(size)).unwrap();
    assert!(load(&file).is_ok());
    fs::write(&file, " ".repeat(size + 1)).unwrap();
    assert!(load(&file).unwrap_err().to_string().contains("larger than 4 MiB"));
}
