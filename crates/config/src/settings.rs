//! What a configuration says about the process rather than about messages.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use ipnet::IpNet;

/// Everything beside the ruleset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub runtime: Runtime,
    /// May be empty: such a configuration is valid and serves nothing.
    pub listeners: Vec<Listener>,
    /// [`wsi_policy::UpstreamId`] is a place in this list.
    pub upstreams: Vec<Upstream>,
    pub audit: Option<Audit>,
    pub admin: Option<Admin>,
}

/// The process (`runtime`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    pub shards: Shards,
    /// Of the whole process; an upgrade beyond it gets 503.
    pub connections_max: u64,
    /// Bytes of traffic that the whole process may hold; `None`: the machine decides.
    pub memory_max: Option<u64>,
    pub drain_timeout_s: u64,
}

impl Runtime {
    pub const CONNECTIONS_MAX_DEFAULT: u64 = 1_000_000;
    pub const DRAIN_TIMEOUT_S_DEFAULT: u64 = 30;
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            shards: Shards::default(),
            connections_max: Self::CONNECTIONS_MAX_DEFAULT,
            memory_max: None,
            drain_timeout_s: Self::DRAIN_TIMEOUT_S_DEFAULT,
        }
    }
}

/// How many shards there are, and where they run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shards {
    /// One a core.
    #[default]
    Auto,
    Count(NonZeroUsize),
    /// One on each of these CPUs, ascending and without repetition.
    Cpus(Vec<usize>),
}

/// An entrance for clients (`listener`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub bind: SocketAddr,
    pub tls: Option<ServerTls>,
    /// Each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Hops whose word counts: their X-Forwarded-For, and their PROXY header.
    pub trusted_proxies: Vec<IpNet>,
}

/// How a listener proves who it is (`tls`). Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate that is signed by one of these.
    pub client_ca: Option<PathBuf>,
}

/// Whom servers must prove to be (`tls`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// A host name or an address.
    pub server_name: String,
    /// In PEM; `None`: those that the system trusts.
    pub ca: Option<PathBuf>,
}

/// A group of servers (`upstream`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    pub name: String,
    /// At least one.
    pub servers: Vec<Server>,
    pub connect_timeout_ms: u64,
    pub tls: Option<ClientTls>,
}

impl Upstream {
    pub const CONNECT_TIMEOUT_MS_DEFAULT: u64 = 1_000;
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: SocketAddr,
    pub weight: NonZeroU32,
}

/// Where audit records go (`audit`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub path: PathBuf,
    pub payload: Payload,
    /// Lines vouch for each other.
    pub is_chained: bool,
    /// The file is set aside at this size, in bytes, or this age.
    pub rotate_size: Option<u64>,
    pub rotate_s: Option<u64>,
    /// Files that are kept beside the one that is written.
    pub kept_max: Option<usize>,
    pub compresses: bool,
}

/// What of a message stands in its audit record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    #[default]
    None,
    Hash,
    Redacted,
}

/// The address of metrics and health (`admin`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The file of the token with which things may be changed; `None`: nothing may.
    pub token_path: Option<PathBuf>,
    pub bind: SocketAddr,
}
