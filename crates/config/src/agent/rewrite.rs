//! `rewrite`: what is changed in messages that pass.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use kdl::{KdlNode, KdlValue};
use wsi_policy::{Change, Directions, HashKey, Literal, MessageTypes, Rewrite, RewriteFormat};

use super::{choose, read_directions};
use crate::diagnostics::Findings;
use crate::document::{self, Block, Value, property};
use crate::file;

const CHANGES: [&str; 4] = ["remove", "set", "mask", "hash"];
/// Characters that a mask may leave.
const KEEP_LAST_MAX: u64 = 1000;
/// Shorter keys can be tried out.
const KEY_SIZE_MIN: usize = 16;
const KEY_SIZE_MAX: usize = 4096;

pub(super) fn read_all(policy: &str, agent: Block<'_>, base: &Path, findings: &mut Findings) -> Vec<Rewrite> {
    let nodes = agent.nodes("rewrite").enumerate();
    nodes.filter_map(|(at, node)| read(policy, node, format!("rewrite-{}", at + 1), base, findings)).collect()
}

fn read(policy: &str, node: &KdlNode, name: String, base: &Path, findings: &mut Findings) -> Option<Rewrite> {
    let block = Block::of(node);
    let format = read_format(block, base, findings);
    // As for schemas: JSON is text, and the others are not.
    let messages_default = match format {
        Some(RewriteFormat::MessagePack | RewriteFormat::Protobuf { .. }) => MessageTypes::Binary,
        Some(RewriteFormat::Json) | None => MessageTypes::Text,
    };
    let opcodes = [
        ("text", Ok(MessageTypes::Text)),
        ("binary", Ok(MessageTypes::Binary)),
        ("any", Ok(MessageTypes::Any)),
    ];
    let messages = choose(block, "opcode", &opcodes, findings).unwrap_or(messages_default);
    let directions = read_directions(block, Directions::Both, findings);
    let change = read_change(node, base, findings);
    let at = block.value("at")?;
    findings.rule(policy, name.clone(), at.span());
    let at = at.string(findings)?.to_owned();
    Some(Rewrite { name, format: format?, at, change: change?, directions, messages })
}

fn read_format(block: Block<'_>, base: &Path, findings: &mut Findings) -> Option<RewriteFormat> {
    let formats = ["json", "msgpack", "protobuf"].map(|name| (name, Ok(name)));
    let format = match block.node("schema-type") {
        Some(_) => choose(block, "schema-type", &formats, findings)?,
        None => "json",
    };
    let path = block.node("schema-path");
    if format != "protobuf" {
        if let Some(path) = path {
            let message = "`schema-path` belongs to schema-type \"protobuf\": without it names say all";
            findings.mistake(path.name().span(), message, "remove it, or correct `schema-type`");
        }
        return Some(if format == "json" { RewriteFormat::Json } else { RewriteFormat::MessagePack });
    }
    let Some((path, message)) = path.and_then(|path| Some((path, property(path, "message")?))) else {
        let at = path.map_or_else(|| block.node("schema-type"), Some)?;
        findings.mistake(
            at.name().span(),
            "schema-type \"protobuf\" needs `schema-path` with `message=`",
            "name the type with its package: schema-path \"order.proto\" message=\"trade.Order\"",
        );
        return None;
    };
    let holds = "Protobuf messages: a .proto file, or a descriptor set";
    let value = document::argument(path)?;
    let schema_path = file::find(value, "schema file", holds, base, findings)?;
    Some(RewriteFormat::Protobuf { schema_path, message: message.string(findings)?.to_owned() })
}

fn read_change(rewrite: &KdlNode, base: &Path, findings: &mut Findings) -> Option<Change> {
    let block = Block::of(rewrite);
    let mut nodes = CHANGES.into_iter().filter_map(|name| block.node(name));
    let Some(node) = nodes.next() else {
        let help = "add `remove`, set \"...\", `mask` or `hash`";
        findings.mistake(rewrite.name().span(), "this `rewrite` changes nothing", help);
        return None;
    };
    if let Some(other) = nodes.next() {
        let message = format!("`{}` has no place beside `{}`", other.name().value(), node.name().value());
        findings.mistake(other.name().span(), message, "write a `rewrite` for each change");
    }
    Some(match node.name().value() {
        "remove" => Change::Remove,
        "set" => Change::Set(read_literal(document::argument(node)?, findings)?),
        "mask" => {
            let keep_last = property(node, "keep-last")
                .and_then(|value| value.integer(0..=KEEP_LAST_MAX, findings))
                .and_then(|count| usize::try_from(count).ok());
            Change::Mask { keep_last: keep_last.unwrap_or(0) }
        }
        _ => Change::Hash(read_key(node, base, findings)?),
    })
}

fn read_literal(value: Value<'_>, findings: &mut Findings) -> Option<Literal> {
    let literal = match value.raw() {
        KdlValue::Null => Some(Literal::Null),
        KdlValue::Bool(boolean) => Some(Literal::Boolean(*boolean)),
        KdlValue::Integer(integer) => i64::try_from(*integer).ok().map(Literal::Integer),
        KdlValue::Float(float) => float.is_finite().then_some(Literal::Float(*float)),
        KdlValue::String(text) => Some(Literal::Text(text.clone())),
    };
    if literal.is_none() {
        let help = "write a number that fits 64 bits, or one with a fraction";
        findings.mistake(value.span(), "this number can't be set", help);
    }
    literal
}

fn read_key(hash: &KdlNode, base: &Path, findings: &mut Findings) -> Option<HashKey> {
    let Some(value) = property(hash, "key-file") else {
        let key = process_key();
        if key.is_none() {
            findings.mistake(
                hash.name().span(),
                "the system has no randomness for a key",
                "name a `key-file=`",
            );
        }
        return key;
    };
    let path = file::find(value, "key file", "a secret of 16 bytes or more", base, findings)?;
    let secret = match fs::read(&path) {
        Ok(secret) => secret,
        Err(error) => {
            let message = format!("key file \"{}\" can't be read: {error}", path.display());
            findings.mistake(value.span(), message, "let this user read it");
            return None;
        }
    };
    // An editor's.
    let secret = secret.strip_suffix(b"\n").unwrap_or(&secret);
    if !(KEY_SIZE_MIN..=KEY_SIZE_MAX).contains(&secret.len()) {
        let message =
            format!("a key has {KEY_SIZE_MIN} to {KEY_SIZE_MAX} bytes, and this has {}", secret.len());
        findings.mistake(value.span(), message, "make one: head -c 32 /dev/urandom | base64 > FILE");
        return None;
    }
    Some(HashKey::new(secret))
}

/// As long as the process lives, so that a configuration that is read again hashes as before.
fn process_key() -> Option<HashKey> {
    static KEY: OnceLock<Option<HashKey>> = OnceLock::new();
    KEY.get_or_init(|| {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).ok().map(|()| HashKey::new(&secret))
    })
    .clone()
}
