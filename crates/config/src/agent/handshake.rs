//! `handshake`: what is asked of the upgrade.

use wsi_policy::{Compression, HandshakeRules};

use super::choose;
use crate::diagnostics::Findings;
use crate::document::{Block, Value};

const TIMEOUT_MS_MAX: u64 = 600_000;

pub(super) fn read(agent: Block<'_>, findings: &mut Findings) -> HandshakeRules {
    let Some(block) = agent.block("handshake") else { return HandshakeRules::default() };
    let compressions = [
        ("inspect", Ok(Compression::Inspect)),
        ("strip", Ok(Compression::Strip)),
        ("refuse", Ok(Compression::Refuse)),
    ];
    let uninspected = [("refuse", Ok(false)), ("allow", Ok(true))];
    HandshakeRules {
        origins: read_list(block, "allow-origins", read_origin, findings),
        subprotocols: read_list(block, "subprotocols", read_subprotocol, findings),
        compression: choose(block, "compression", &compressions, findings).unwrap_or_default(),
        compression_uninspected: choose(block, "compression-uninspected", &uninspected, findings)
            .unwrap_or_default(),
        timeout_ms: block
            .value("timeout-ms")
            .and_then(|value| value.integer(1..=TIMEOUT_MS_MAX, findings))
            .unwrap_or(HandshakeRules::TIMEOUT_MS_DEFAULT),
    }
}

fn read_list(
    block: Block<'_>,
    name: &'static str,
    read: fn(Value<'_>, &mut Findings) -> Option<String>,
    findings: &mut Findings,
) -> Option<Vec<String>> {
    Some(block.values(name)?.into_iter().filter_map(|value| read(value, findings)).collect())
}

/// An origin as a browser sends it (RFC 6454 section 6.2): scheme, host and port, or `null`.
fn read_origin(value: Value<'_>, findings: &mut Findings) -> Option<String> {
    let origin = value.string(findings)?;
    let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
        let scheme_fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        !scheme.is_empty()
            && scheme.bytes().all(scheme_fits)
            && !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#@*\\\"".contains(&byte))
    });
    if is_origin || origin == "null" {
        return Some(origin.to_owned());
    }
    let help = match origin {
        "*" => "leave `allow-origins` out to allow any",
        _ => "write scheme, host and, where it is not the scheme's own, port: \"https://app.example.com\"",
    };
    findings.mistake(value.span(), format!("\"{origin}\" is not an origin"), help);
    None
}

/// A token of HTTP (RFC 6455 section 4.1, RFC 9110 section 5.6.2).
pub(super) fn read_subprotocol(value: Value<'_>, findings: &mut Findings) -> Option<String> {
    let name = value.string(findings)?;
    if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        return Some(name.to_owned());
    }
    let help = "write one name a value, as in subprotocols \"chat.v1\" \"chat.v2\"";
    findings.mistake(value.span(), format!("\"{name}\" is not a subprotocol's name"), help);
    None
}
