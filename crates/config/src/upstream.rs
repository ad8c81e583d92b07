//! `upstream`: groups of servers.

use std::collections::HashSet;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroU32;
use std::path::Path;

use kdl::KdlNode;

use crate::diagnostics::Findings;
use crate::document::{self, Block, Value};
use crate::file;
use crate::settings::{ClientTls, Server, Upstream};

const WEIGHT_MAX: u64 = 65_535;
const CONNECT_TIMEOUT_MS_MAX: u64 = 600_000;

/// All upstreams in the order of the text, also those with mistakes, so that routes can be checked against them.
pub(crate) fn read_all(root: Block<'_>, base: &Path, findings: &mut Findings) -> Vec<Upstream> {
    let mut names = HashSet::new();
    root.nodes("upstream").map(|node| read(node, &mut names, base, findings)).collect()
}

fn read<'d>(
    node: &'d KdlNode,
    names: &mut HashSet<&'d str>,
    base: &Path,
    findings: &mut Findings,
) -> Upstream {
    let block = Block::of(node);
    Upstream {
        name: document::own_name(node, names, findings),
        servers: block.nodes("server").filter_map(|server| read_server(server, findings)).collect(),
        connect_timeout_ms: block
            .value("connect-timeout-ms")
            .and_then(|value| value.integer(1..=CONNECT_TIMEOUT_MS_MAX, findings))
            .unwrap_or(Upstream::CONNECT_TIMEOUT_MS_DEFAULT),
        tls: block.block("tls").map(|own| read_tls(own, block, base, findings)),
    }
}

/// Whom the servers must prove to be: the name that is given, or the host of the first.
fn read_tls(block: Block<'_>, upstream: Block<'_>, base: &Path, findings: &mut Findings) -> ClientTls {
    let given = block.value("server-name").and_then(|value| Some((value, value.string(findings)?)));
    let server_name = match given {
        Some((value, name)) => {
            let is_name = !name.is_empty() && !name.contains('/') && !name.contains(char::is_whitespace);
            if !is_name {
                let help = "write the name alone, as server-name \"backend.internal\"";
                findings.mistake(value.span(), format!("\"{name}\" is not a name"), help);
            }
            name.to_owned()
        }
        None => {
            let first = upstream.value("server").and_then(Value::text).unwrap_or_default();
            let host = first.rsplit_once(':').map_or(&*first, |(host, _)| host);
            host.trim_matches(['[', ']']).to_owned()
        }
    };
    let holds = "the certificates in PEM that sign those of the servers";
    let ca = block.value("ca").and_then(|value| file::find(value, "file", holds, base, findings));
    ClientTls { server_name, ca }
}

fn read_server(node: &KdlNode, findings: &mut Findings) -> Option<Server> {
    let address = document::argument(node).and_then(|value| resolve(value, findings));
    let weight = match document::property(node, "weight") {
        Some(value) => value.integer(1..=WEIGHT_MAX, findings)?,
        None => 1,
    };
    let weight = u32::try_from(weight).ok().and_then(NonZeroU32::new)?;
    Some(Server { address: address?, weight })
}

/// The address in numbers, or the first that the system knows for the name.
fn resolve(value: Value<'_>, findings: &mut Findings) -> Option<SocketAddr> {
    let text = value.string(findings)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let has_port =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port {
        let help = "write host and port, as 127.0.0.1:9001, [::1]:9001 or backend.internal:9001";
        findings.mistake(value.span(), format!("\"{text}\" is not a host with a port"), help);
        return None;
    }
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    match text.to_socket_addrs().and_then(|mut addresses| addresses.next().ok_or_else(none)) {
        Ok(address) => Some(address),
        Err(error) => {
            let help = "check the name and the system's resolver, or write the address in numbers";
            findings.mistake(value.span(), format!("\"{text}\" can't be resolved: {error}"), help);
            None
        }
    }
}
