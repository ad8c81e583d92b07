//! The table itself, in the order of the reference (`config/README.md`).

use super::{Arguments, Form, Property, Times};

pub(super) static ROOT: &[Form] = &[
    block("runtime", "runtime { ... }", RUNTIME),
    block("listener", "listener \"name\" { ... }", LISTENER).named().repeated(),
    block("upstream", "upstream \"name\" { ... }", UPSTREAM).named().repeated(),
    block("agent", "agent \"name\" { ... }", AGENT).named().repeated(),
    block("audit", "audit { path \"audit.jsonl\" }", AUDIT),
    block("admin", "admin { bind \"127.0.0.1:9600\" }", ADMIN),
];

static RUNTIME: &[Form] = &[
    leaf("shards", "shards \"auto\""),
    leaf("max-connections", "max-connections 1000000"),
    leaf("max-memory", "max-memory \"1GiB\""),
    leaf("drain-timeout-s", "drain-timeout-s 30"),
];

static LISTENER: &[Form] = &[
    leaf("bind", "bind \"127.0.0.1:8080\"").required(),
    block("tls", "tls { certificate \"cert.pem\"; key \"key.pem\" }", SERVER_TLS),
    leaf("proxy-protocol", "proxy-protocol false"),
    leaf("trusted-proxies", "trusted-proxies \"10.0.0.0/8\"").several(),
    Form {
        properties: &[required("upstream"), optional("agent"), optional("host")],
        ..leaf("route", "route \"/*\" upstream=\"name\" agent=\"name\"")
    }
    .required()
    .repeated(),
];

static SERVER_TLS: &[Form] = &[
    leaf("certificate", "certificate \"cert.pem\"").required(),
    leaf("key", "key \"key.pem\"").required(),
    leaf("client-ca", "client-ca \"ca.pem\""),
];

static CLIENT_TLS: &[Form] =
    &[leaf("server-name", "server-name \"backend.internal\""), leaf("ca", "ca \"ca.pem\"")];

static UPSTREAM: &[Form] = &[
    Form { properties: &[optional("weight")], ..leaf("server", "server \"127.0.0.1:9001\" weight=1") }
        .required()
        .repeated(),
    leaf("connect-timeout-ms", "connect-timeout-ms 1000"),
    block("tls", "tls { server-name \"backend.internal\" }", CLIENT_TLS),
];

static AGENT: &[Form] = &[
    leaf("type", "type \"websocket_inspector\"").required(),
    block("transport", "transport \"unix_socket\" { path \"inspector.sock\" }", TRANSPORT).named(),
    leaf("events", "events \"ws_open\" \"ws_close\"").several(),
    leaf("timeout-ms", "timeout-ms 50"),
    leaf("failure-mode", "failure-mode \"closed\""),
    leaf("mode", "mode \"enforce\""),
    DISCRIMINATOR,
    block("handshake", "handshake { ... }", HANDSHAKE),
    block("limits", "limits { ... }", LIMITS),
    block("validation", "validation { ... }", VALIDATION).repeated(),
    block("rate-limit", "rate-limit { ... }", RATE_LIMIT).repeated(),
    block("violations", "violations { max 5; within-s 60 }", VIOLATIONS),
    block("sequence", "sequence { field \"/seq\"; step 1 }", SEQUENCE).repeated(),
    block("order", "order { state \"start\" { ... } }", ORDER).repeated(),
    block("duplicate", "duplicate { field \"/text\" }", DUPLICATE).repeated(),
    block("content-filter", "content-filter { ... }", CONTENT_FILTER).repeated(),
    block("rewrite", "rewrite { at \"/user/email\"; mask }", REWRITE).repeated(),
];

static TRANSPORT: &[Form] = &[
    leaf("path", "path \"inspector.sock\"").required(),
    leaf("mode", "mode \"0660\""),
    leaf("max-sessions", "max-sessions 65536"),
    leaf("max-session-age-s", "max-session-age-s 86400"),
];

static HANDSHAKE: &[Form] = &[
    leaf("allow-origins", "allow-origins \"https://app.example.com\"").several(),
    leaf("subprotocols", "subprotocols \"chat.v1\"").several(),
    leaf("compression", "compression \"strip\""),
    leaf("compression-uninspected", "compression-uninspected \"refuse\""),
    leaf("timeout-ms", "timeout-ms 5000"),
];

static LIMITS: &[Form] = &[
    leaf("max-message-size", "max-message-size \"1MiB\""),
    leaf("max-held-size", "max-held-size \"1MiB\""),
    leaf("max-frame-size", "max-frame-size \"1MiB\""),
    leaf("max-fragments", "max-fragments 1024"),
    leaf("max-inflate-ratio", "max-inflate-ratio 100"),
    leaf("control-frames-per-second", "control-frames-per-second 100"),
    leaf("message-timeout-ms", "message-timeout-ms 30000"),
    leaf("write-timeout-ms", "write-timeout-ms 30000"),
    leaf("idle-timeout-s", "idle-timeout-s 3600"),
    leaf("max-json-depth", "max-json-depth 64"),
    leaf("max-normalize-depth", "max-normalize-depth 4"),
];

/// What names a message's type.
const DISCRIMINATOR: Form = Form {
    arguments: Arguments::AtMostOne,
    properties: &[optional("oneof")],
    ..leaf("discriminator", "discriminator \"/type\"")
};

/// How a rule that asks for fields reads messages.
const FORMAT: Form = leaf("format", "format \"json\"");
const OPCODE: Form = leaf("opcode", "opcode \"text\"");

static VALIDATION: &[Form] = &[
    leaf("schema-type", "schema-type \"json\"").required(),
    Form {
        properties: &[optional("message"), optional("constraints")],
        ..leaf("schema-path", "schema-path \"schemas/chat.json\"")
    },
    DISCRIMINATOR,
    Form {
        properties: &[optional("path"), optional("message"), optional("constraints")],
        ..leaf("schema", "schema \"order\" path=\"schemas/order.json\"")
    }
    .repeated(),
    leaf("unknown-types", "unknown-types \"reject\""),
    leaf("direction", "direction \"both\""),
    OPCODE,
    leaf("subprotocol", "subprotocol \"chat.v1\"").several(),
    leaf("unknown-fields", "unknown-fields \"reject\""),
    leaf("reject-invalid", "reject-invalid true"),
    leaf("action", "action \"close\""),
    leaf("reply", "reply \"...\""),
];

static RATE_LIMIT: &[Form] = &[
    leaf("messages-per-second", "messages-per-second 100"),
    leaf("burst", "burst 200"),
    leaf("bytes-per-second", "bytes-per-second \"1MiB\""),
    leaf("burst-bytes", "burst-bytes \"1MiB\""),
    leaf("inflated-bytes-per-second", "inflated-bytes-per-second \"1MiB\""),
    leaf("burst-inflated-bytes", "burst-inflated-bytes \"1MiB\""),
    leaf("per", "per \"connection\""),
    leaf("max-clients", "max-clients 65536"),
    leaf("max-types", "max-types 64"),
    Form { properties: &[optional("bytes")], ..leaf("cost", "cost \"size\" bytes=1024") },
    FORMAT,
    OPCODE,
    DISCRIMINATOR,
    Form {
        properties: &[
            optional("messages-per-second"),
            optional("burst"),
            optional("bytes-per-second"),
            optional("burst-bytes"),
            optional("inflated-bytes-per-second"),
            optional("burst-inflated-bytes"),
            optional("cost"),
        ],
        ..leaf("type", "type \"order\" messages-per-second=10 burst=20")
    }
    .repeated(),
    leaf("direction", "direction \"to-server\""),
    leaf("action", "action \"close\""),
    leaf("reply", "reply \"...\""),
];

static VIOLATIONS: &[Form] = &[
    leaf("max", "max 5").required(),
    leaf("within-s", "within-s 60").required(),
    leaf("direction", "direction \"both\""),
];

const FIELD: Form = leaf("field", "field \"/seq\"");
const KEY: Form = leaf("key", "key \"/symbol\"");
const MAX_KEYS: Form = leaf("max-keys", "max-keys 1024");

static SEQUENCE: &[Form] = &[
    FIELD.required(),
    KEY,
    leaf("step", "step 1"),
    leaf("on-gap", "on-gap \"close\""),
    leaf("on-repeat", "on-repeat \"close\""),
    MAX_KEYS,
    FORMAT,
    OPCODE,
    leaf("direction", "direction \"to-server\""),
];

static ORDER: &[Form] = &[
    DISCRIMINATOR,
    KEY,
    block("state", "state \"lobby\" { on \"join\" to=\"game\" }", STATE).named().required().repeated(),
    leaf("unknown-types", "unknown-types \"reject\""),
    MAX_KEYS,
    FORMAT,
    OPCODE,
    leaf("direction", "direction \"both\""),
    leaf("action", "action \"close\""),
];

static STATE: &[Form] =
    &[Form { properties: &[optional("to"), optional("direction")], ..leaf("on", "on \"join\" to=\"game\"") }
        .repeated()];

static DUPLICATE: &[Form] = &[
    FIELD,
    KEY,
    leaf("compare", "compare \"similar\""),
    leaf("window", "window 10"),
    leaf("within-ms", "within-ms 10000"),
    leaf("max-repeats", "max-repeats 0"),
    FORMAT,
    OPCODE,
    leaf("direction", "direction \"to-server\""),
    leaf("action", "action \"drop\""),
];

static CONTENT_FILTER: &[Form] = &[
    leaf("block-patterns", "block-patterns \"/exec\\\\(/\" \"literal\"").several(),
    leaf("rules", "rules \"xss\" \"sqli\"").several(),
    leaf("direction", "direction \"both\""),
    leaf("normalize", "normalize \"json\" \"percent\" \"html\" \"unicode\"").several(),
    leaf("action", "action \"close\""),
    leaf("redact-with", "redact-with \"[removed]\""),
    leaf("reply", "reply \"...\""),
    leaf("max-message-size", "max-message-size 65536"),
];

static AUDIT: &[Form] = &[
    leaf("path", "path \"audit.jsonl\"").required(),
    leaf("payload", "payload \"none\""),
    leaf("chain", "chain true"),
    leaf("rotate-size", "rotate-size \"1GiB\""),
    leaf("rotate-s", "rotate-s 86400"),
    leaf("keep", "keep 30"),
    leaf("compress", "compress true"),
];

static REWRITE: &[Form] = &[
    leaf("at", "at \"/user/email\"").required(),
    block("remove", "remove", &[]),
    leaf("set", "set \"...\""),
    Form { properties: &[optional("keep-last")], ..block("mask", "mask keep-last=4", &[]) },
    Form { properties: &[optional("key-file")], ..block("hash", "hash key-file=\"secret\"", &[]) },
    leaf("schema-type", "schema-type \"json\""),
    Form {
        properties: &[optional("message")],
        ..leaf("schema-path", "schema-path \"order.proto\" message=\"trade.Order\"")
    },
    leaf("direction", "direction \"both\""),
    leaf("opcode", "opcode \"text\""),
];

static ADMIN: &[Form] =
    &[leaf("bind", "bind \"127.0.0.1:9600\"").required(), leaf("token-path", "token-path \"admin.token\"")];

/// A node with one argument, at most once.
const fn leaf(name: &'static str, example: &'static str) -> Form {
    Form {
        name,
        example,
        arguments: Arguments::One,
        properties: &[],
        children: &[],
        times: Times::AtMostOnce,
    }
}

/// A node with a block, at most once.
const fn block(name: &'static str, example: &'static str, children: &'static [Form]) -> Form {
    Form { arguments: Arguments::None, children, ..leaf(name, example) }
}

const fn required(name: &'static str) -> Property {
    Property { name, required: true }
}

const fn optional(name: &'static str) -> Property {
    Property { name, required: false }
}

impl Form {
    const fn named(self) -> Self {
        Self { arguments: Arguments::One, ..self }
    }

    const fn several(self) -> Self {
        Self { arguments: Arguments::AtLeastOne, ..self }
    }

    const fn required(self) -> Self {
        Self { times: Times::Once, ..self }
    }

    const fn repeated(self) -> Self {
        let times = match self.times {
            Times::Once | Times::AtLeastOnce => Times::AtLeastOnce,
            Times::AtMostOnce | Times::Any => Times::Any,
        };
        Self { times, ..self }
    }
}
