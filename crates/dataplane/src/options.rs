//! What a data plane is started with.

use std::{fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use ipnet::IpNet;
use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};
use wsi_inspect::Engine;
use wsi_policy::Route;
use wsi_telemetry::{ShardCells, TimingSender, audit};

use crate::revision::Revision;

/// Everything for the life of a [`Dataplane`](crate::Dataplane).
#[derive(Debug)]
pub struct Options {
    /// One a shard.
    pub shards: Vec<ShardOptions>,
    /// What they begin with.
    pub revision: Revision,
    pub agents: Vec<AgentSocket>,
    /// Connections of the whole process; beyond it an upgrade gets 503.
    pub connections_max: u64,
    /// Bytes that the connections of the whole process may hold of messages on their way; one that would hold more is closed with
    /// 1013, and an upgrade gets 503.
    pub memory_max: u64,
    /// How long connections may take to end after [`Dataplane::drain`](crate::Dataplane::drain).
    pub drain_timeout: Duration,
}

/// What one shard has for itself.
#[derive(Debug)]
pub struct ShardOptions {
    /// The core that it is pinned to; `None`: wherever the kernel puts it.
    pub cpu: Option<usize>,
    /// `None`: nothing is audited.
    pub audit: Option<audit::Sender>,
    pub cells: Arc<ShardCells>,
    /// `None`: nothing is timed.
    pub timings: Option<TimingSender>,
}

/// An address that clients connect to.
#[derive(Clone, Debug)]
pub struct Listener {
    pub bind: SocketAddr,
    /// Clients speak TLS.
    pub tls: Option<Arc<ServerConfig>>,
    /// Each connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// Hops whose word about the client counts.
    pub trusted: Vec<IpNet>,
    /// The first match wins.
    pub routes: Vec<Route>,
}

/// Servers that are equal.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub servers: Vec<Server>,
    pub connect_timeout: Duration,
    pub tls: Option<ClientTls>,
}

/// How servers prove who they are.
#[derive(Clone, Debug)]
pub struct ClientTls {
    pub config: Arc<ClientConfig>,
    pub name: ServerName<'static>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    pub address: SocketAddr,
    pub weight: NonZeroU32,
}

/// A unix socket at which proxies ask for verdicts.
#[derive(Debug)]
pub struct AgentSocket {
    pub path: PathBuf,
    /// Permission bits of its file.
    pub mode: u32,
    /// Its number among the listeners, in records.
    pub listener: u16,
    /// An index into [`Revision::engines`].
    pub engine: usize,
    /// WebSockets that are known at once.
    pub sessions_max: usize,
    pub age_max: Option<Duration>,
    pub configurator: Configurator,
}

type Compile = dyn Fn(&str) -> Result<Arc<Engine>, String> + Send + Sync;

/// Makes a policy of a configuration that a proxy pushes (a JSON object), or says what is wrong with it. It runs on a thread
/// of its own.
#[derive(Clone)]
pub struct Configurator(Arc<Compile>);

impl Configurator {
    pub fn new(compile: impl Fn(&str) -> Result<Arc<Engine>, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(compile))
    }

    pub(crate) fn compile(&self, config: &str) -> Result<Arc<Engine>, String> {
        (self.0)(config)
    }
}

impl fmt::Debug for Configurator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Configurator")
    }
}
