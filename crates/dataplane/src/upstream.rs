//! Which server gets a connection, and the attempt to reach it.

use std::{io, net::TcpStream};

use socket2::{Domain, Protocol, Socket, Type};
use wsi_policy::UpstreamId;

use crate::options::{Server, Upstream};

/// How many servers of an upstream one connection tries.
const ATTEMPTS_MAX: u32 = 8;

/// The connections that this shard has to each server.
#[derive(Debug)]
pub(crate) struct Balancer {
    upstreams: Vec<Upstream>,
    open: Vec<Vec<u64>>,
}

/// A server of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerId {
    pub upstream: UpstreamId,
    index: usize,
}

/// What a connection has tried so far.
#[derive(Debug)]
pub(crate) struct Attempt {
    upstream: UpstreamId,
    /// Bits of server indices; servers beyond the 64th are tried only while nothing else was.
    tried: u64,
    count: u32,
}

impl Attempt {
    pub fn new(upstream: UpstreamId) -> Self {
        Self { upstream, tried: 0, count: 0 }
    }

    pub fn upstream(&self) -> UpstreamId {
        self.upstream
    }
}

impl Balancer {
    pub fn new(upstreams: Vec<Upstream>) -> Self {
        let open = upstreams.iter().map(|upstream| vec![0; upstream.servers.len()]).collect();
        Self { upstreams, open }
    }

    pub fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.upstreams.get(id.0)
    }

    /// The server with the fewest connections for its weight that was not tried; counts a connection to it.
    pub fn take(&mut self, attempt: &mut Attempt) -> Option<(ServerId, Server)> {
        if attempt.count >= ATTEMPTS_MAX {
            return None;
        }
        let servers = &self.upstreams.get(attempt.upstream.0)?.servers;
        let open = self.open.get_mut(attempt.upstream.0)?;
        let was_tried = |index: usize| attempt.tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
        let (index, server) = servers
            .iter()
            .enumerate()
            .filter(|(index, _)| !was_tried(*index))
            .min_by_key(|(index, server)| load(open.get(*index).copied().unwrap_or(0), server))?;
        attempt.tried |= 1u64.checked_shl(index as u32).unwrap_or(0);
        attempt.count += 1;
        if let Some(open) = open.get_mut(index) {
            *open += 1;
        }
        Some((ServerId { upstream: attempt.upstream, index }, *server))
    }

    /// A connection to `server` has ended, or never came about.
    pub fn release(&mut self, server: ServerId) {
        if let Some(open) = self.open.get_mut(server.upstream.0).and_then(|open| open.get_mut(server.index)) {
            *open = open.saturating_sub(1);
        }
    }
}

/// Starts to connect; the ring tells when the attempt has ended.
pub(crate) fn connect(server: &Server) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    match socket.connect(&server.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Connections for each unit of weight, counting the one to come.
fn load(open: u64, server: &Server) -> u64 {
    const SCALE: u64 = 1 << 16;
    (open + 1).saturating_mul(SCALE) / u64::from(server.weight.get())
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use super::*;

    fn balancer(weights: &[u32]) -> Balancer {
        let servers = weights
            .iter()
            .map(|weight| Server {
                address: ([127, 0, 0, 1], 1).into(),
                weight: NonZeroU32::new(*weight).unwrap(),
            })
            .collect();
        Balancer::new(vec![Upstream { servers, connect_timeout: Duration::from_secs(1) }])
    }

    fn take(balancer: &mut Balancer, attempt: &mut Attempt) -> Option<usize> {
        balancer.take(attempt).map(|(server, _)| server.index)
    }

    #[test]
    fn fewest_connections_for_the_weight() {
        let mut balancer = balancer(&[1, 3]);
        let mut counts = [0; 2];
        for _ in 0..40 {
            counts[take(&mut balancer, &mut Attempt::new(UpstreamId(0))).unwrap()] += 1;
        }
        assert_eq!(counts, [10, 30]);
    }

    #[test]
    fn a_server_that_fails_is_not_tried_twice() {
        let mut balancer = balancer(&[1, 1]);
        let mut attempt = Attempt::new(UpstreamId(0));
        let first = balancer.take(&mut attempt).unwrap().0;
        balancer.release(first);
        assert_eq!(take(&mut balancer, &mut attempt), Some(1 - first.index));
        assert_eq!(take(&mut balancer, &mut attempt), None);
        assert_eq!(take(&mut balancer, &mut Attempt::new(UpstreamId(7))), None);
    }
}
