//! `listener`: entrances, and the routes behind each.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ipnet::IpNet;
use kdl::KdlNode;
use wsi_policy::{PolicyId, Route, UpstreamId};

use crate::diagnostics::Findings;
use crate::document::{self, Block, Value};
use crate::file;
use crate::names;
use crate::settings::{Listener, ServerTls};

/// Listeners, and for each its routes.
pub(crate) fn read_all(
    root: Block<'_>,
    base: &Path,
    findings: &mut Findings,
) -> (Vec<Listener>, Vec<Vec<Route>>) {
    let mut targets = Targets::of(root);
    let mut names = HashSet::new();
    let mut addresses = HashSet::new();
    let (mut listeners, mut routes) = (Vec::new(), Vec::new());
    for node in root.nodes("listener") {
        let block = Block::of(node);
        let name = document::own_name(node, &mut names, findings);
        let bind = read_bind(block, &mut addresses, findings);
        let trusted_proxies = read_trusted_proxies(block, findings);
        let proxy_protocol = read_proxy_protocol(block, &trusted_proxies, findings);
        let tls = block.block("tls").and_then(|block| read_tls(block, base, findings));
        listeners.push(Listener { name, bind, tls, proxy_protocol, trusted_proxies });
        routes.push(block.nodes("route").filter_map(|route| targets.read_route(route, findings)).collect());
    }
    if !listeners.is_empty() {
        targets.warn_of_unused(findings);
    }
    (listeners, routes)
}

/// The address, which no earlier listener may have: the kernel would share the connections out among them.
fn read_bind(block: Block<'_>, seen: &mut HashSet<SocketAddr>, findings: &mut Findings) -> SocketAddr {
    let bind = block.value("bind").and_then(|value| Some((value, value.address(findings)?)));
    let Some((value, bind)) = bind else {
        // A mistake is reported, so nothing will listen there.
        return SocketAddr::from(([0, 0, 0, 0], 0));
    };
    if !seen.insert(bind) && bind.port() != 0 {
        let message = format!("a listener has the address {bind} already");
        findings.mistake(value.span(), message, "give each listener an address of its own");
    }
    bind
}

fn read_proxy_protocol(block: Block<'_>, trusted: &[IpNet], findings: &mut Findings) -> bool {
    let value = block.value("proxy-protocol");
    let is_required = value.and_then(|value| value.boolean(findings)).unwrap_or(false);
    if let Some(value) = value.filter(|_| is_required && trusted.is_empty()) {
        let text =
            "proxy-protocol true without trusted-proxies: whoever connects may claim any client's address";
        findings.warning(value.span(), text.to_owned());
    }
    is_required
}

fn read_tls(block: Block<'_>, base: &Path, findings: &mut Findings) -> Option<ServerTls> {
    let mut find = |name, holds| {
        let value = block.value(name)?;
        Some(file::find(value, "file", holds, base, findings))
    };
    let certificate = find("certificate", "a chain of certificates in PEM, the server's own first");
    let key = find("key", "the private key of the certificate, in PEM");
    // Certificates of clients that were wanted must not become optional.
    let client_ca = match find("client-ca", "the certificates in PEM that sign those of clients") {
        Some(found) => Some(found?),
        None => None,
    };
    Some(ServerTls { certificate: certificate??, key: key??, client_ca })
}

/// Networks, or single addresses.
fn read_trusted_proxies(block: Block<'_>, findings: &mut Findings) -> Vec<IpNet> {
    let values = block.values("trusted-proxies").unwrap_or_default();
    let mut read = |value: Value<'_>| {
        let text = value.string(findings)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        if network.is_err() {
            let help = "write it as \"10.0.0.0/8\", \"2001:db8::/32\" or a single address";
            findings.mistake(value.span(), format!("\"{text}\" is not a network"), help);
        }
        network.ok()
    };
    values.into_iter().filter_map(&mut read).collect()
}

/// What routes may lead to.
struct Targets<'d> {
    upstreams: Vec<Target<'d>>,
    agents: Vec<Target<'d>>,
}

struct Target<'d> {
    node: &'d KdlNode,
    name: String,
    used: bool,
}

impl<'d> Targets<'d> {
    fn of(root: Block<'d>) -> Self {
        let all = |kind| root.nodes(kind).map(Target::of).collect();
        Self { upstreams: all("upstream"), agents: all("agent") }
    }

    fn read_route(&mut self, node: &KdlNode, findings: &mut Findings) -> Option<Route> {
        let path = document::argument(node).and_then(|value| read_path(value, findings));
        let host = document::property(node, "host").map(|value| read_host(value, findings));
        let upstream = document::property(node, "upstream")
            .and_then(|value| find(&mut self.upstreams, "upstream", value, findings));
        let agent = match document::property(node, "agent") {
            Some(value) => find(&mut self.agents, "agent", value, findings),
            None => self.only_agent(node, findings),
        };
        // A host that is wrong must not become a route for every host.
        let host = match host {
            Some(host) => Some(host?),
            None => None,
        };
        Some(Route { path: path?, host, upstream: UpstreamId(upstream?), policy: PolicyId(agent?) })
    }

    fn only_agent(&mut self, node: &KdlNode, findings: &mut Findings) -> Option<usize> {
        let help = match self.agents.as_mut_slice() {
            [only] => {
                only.used = true;
                return Some(0);
            }
            [] => "add an agent \"name\" { type \"websocket_inspector\" } block, and agent=\"name\" here"
                .to_owned(),
            several => names::known_names(several.iter().map(|agent| agent.name.as_str())),
        };
        findings.mistake(node.name().span(), "this route doesn't say which agent inspects it", help);
        None
    }

    fn warn_of_unused(&self, findings: &mut Findings) {
        for (kind, targets) in [("upstream", &self.upstreams), ("agent", &self.agents)] {
            for target in targets.iter().filter(|target| !target.used) {
                let text = format!("{kind} \"{}\" is used by no route", target.name);
                findings.warning(document::name_span(target.node), text);
            }
        }
    }
}

impl<'d> Target<'d> {
    fn of(node: &'d KdlNode) -> Self {
        let name = document::argument(node).and_then(Value::text).unwrap_or_default();
        Self { node, name, used: false }
    }
}

fn find(targets: &mut [Target<'_>], kind: &str, value: Value<'_>, findings: &mut Findings) -> Option<usize> {
    let name = value.string(findings)?;
    let found = targets.iter().position(|target| target.name == name);
    match found {
        Some(at) => targets[at].used = true,
        None => {
            let help = names::suggestion(name, targets.iter().map(|target| target.name.as_str()));
            findings.mistake(value.span(), format!("there is no {kind} \"{name}\""), help);
        }
    }
    found
}

fn read_path(value: Value<'_>, findings: &mut Findings) -> Option<String> {
    let path = value.string(findings)?;
    let exact = path.strip_suffix('*').unwrap_or(path);
    if path.starts_with('/') && !exact.contains(['*', '?', '#']) && !exact.contains(char::is_whitespace) {
        return Some(path.to_owned());
    }
    let help = "begin it with `/`, without a query; `*` may stand at its end, as in \"/chat/*\"";
    findings.mistake(value.span(), format!("\"{path}\" is not a path"), help);
    None
}

fn read_host(value: Value<'_>, findings: &mut Findings) -> Option<String> {
    let host = value.string(findings)?;
    let is_ipv6 = host.starts_with('[') && host.ends_with(']');
    if !host.contains(['/', '*', '@'])
        && !host.contains(char::is_whitespace)
        && (is_ipv6 || !host.contains(':'))
    {
        return Some(host.to_owned());
    }
    let help = "write the name alone, without scheme, port or `*`, as in host=\"app.example.com\"";
    findings.mistake(value.span(), format!("\"{host}\" is not a host name"), help);
    None
}
