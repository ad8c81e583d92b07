//! Which server gets a connection, and the attempt to reach it.

use std::{io, net::TcpStream, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use wsi_policy::UpstreamId;

use crate::options::{ClientTls, Server, Upstream};

/// How many servers of an upstream one connection tries.
const ATTEMPTS_MAX: u32 = 8;

/// The connections that this shard has to each server.
#[derive(Debug)]
pub(crate) struct Balancer {
    upstreams: Vec<Group>,
}

/// The servers of an upstream. Connections refer to them by their places.
#[derive(Debug)]
struct Group {
    connect_timeout: Duration,
    tls: Option<ClientTls>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    server: Server,
    open: u64,
    /// It is configured; otherwise it only lives on in its connections.
    is_active: bool,
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
    pub fn new(upstreams: &[Upstream]) -> Self {
        let mut balancer = Self { upstreams: Vec::new() };
        balancer.adopt(upstreams);
        balancer
    }

    /// Goes by `upstreams` from now on. Servers that are known keep their places and counts.
    pub fn adopt(&mut self, upstreams: &[Upstream]) {
        for (index, upstream) in upstreams.iter().enumerate() {
            if index == self.upstreams.len() {
                let connect_timeout = upstream.connect_timeout;
                self.upstreams.push(Group { connect_timeout, tls: None, places: Vec::new() });
            }
            if let Some(group) = self.upstreams.get_mut(index) {
                group.adopt(upstream);
            }
        }
    }

    pub fn connect_timeout(&self, id: UpstreamId) -> Option<Duration> {
        self.upstreams.get(id.0).map(|group| group.connect_timeout)
    }

    /// How the servers prove who they are; `None`: they are not asked.
    pub fn tls(&self, id: UpstreamId) -> Option<&ClientTls> {
        self.upstreams.get(id.0)?.tls.as_ref()
    }

    /// The server with the fewest connections for its weight that was not tried; counts a connection to it.
    pub fn take(&mut self, attempt: &mut Attempt) -> Option<(ServerId, Server)> {
        if attempt.count >= ATTEMPTS_MAX {
            return None;
        }
        let was_tried = |index: usize| attempt.tried.checked_shr(index as u32).unwrap_or(0) & 1 == 1;
        let (index, place) = self
            .upstreams
            .get_mut(attempt.upstream.0)?
            .places
            .iter_mut()
            .enumerate()
            .filter(|(index, place)| place.is_active && !was_tried(*index))
            .min_by_key(|(_, place)| load(place.open, &place.server))?;
        attempt.tried |= 1u64.checked_shl(index as u32).unwrap_or(0);
        attempt.count += 1;
        place.open += 1;
        Some((ServerId { upstream: attempt.upstream, index }, place.server))
    }

    /// A connection to `server` has ended, or never came about.
    pub fn release(&mut self, server: ServerId) {
        let group = self.upstreams.get_mut(server.upstream.0);
        if let Some(place) = group.and_then(|group| group.places.get_mut(server.index)) {
            place.open = place.open.saturating_sub(1);
        }
    }
}

impl Group {
    fn adopt(&mut self, upstream: &Upstream) {
        self.connect_timeout = upstream.connect_timeout;
        self.tls = upstream.tls.clone();
        self.places.iter_mut().for_each(|place| place.is_active = false);
        for server in &upstream.servers {
            let known = |place: &&mut Place| !place.is_active && place.server.address == server.address;
            if let Some(place) = self.places.iter_mut().find(known) {
                (place.server, place.is_active) = (*server, true);
            }
        }
        for server in &upstream.servers {
            if self.places.iter().any(|place| place.is_active && place.server == *server) {
                continue;
            }
            let fresh = Place { server: *server, open: 0, is_active: true };
            match self.places.iter_mut().find(|place| !place.is_active && place.open == 0) {
                Some(place) => *place = fresh,
                None => self.places.push(fresh),
            }
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
    use std::num::NonZeroU32;

    use super::*;

    fn server(port: u16, weight: u32) -> Server {
        Server { address: ([127, 0, 0, 1], port).into(), weight: NonZeroU32::new(weight).unwrap() }
    }

    fn upstream(servers: Vec<Server>) -> Upstream {
        Upstream { servers, connect_timeout: Duration::from_secs(1), tls: None }
    }

    fn balancer(weights: &[u32]) -> Balancer {
        let servers = (1..).zip(weights).map(|(port, weight)| server(port, *weight)).collect();
        Balancer::new(&[upstream(servers)])
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

    #[test]
    fn servers_come_and_go_and_connections_are_counted_where_they_are() {
        let mut balancer = balancer(&[1, 1]);
        let take = |balancer: &mut Balancer| {
            balancer.take(&mut Attempt::new(UpstreamId(0))).map(|(id, server)| (id, server.address.port()))
        };
        let (first, _) = take(&mut balancer).unwrap();
        let (second, _) = take(&mut balancer).unwrap();
        balancer.adopt(&[upstream(vec![server(3, 1), server(2, 1)])]);
        // The one of port 2 still has its connection.
        assert_eq!(take(&mut balancer).unwrap().1, 3);
        balancer.release(first);
        balancer.release(second);
        assert_eq!(take(&mut balancer).unwrap().1, 2);
        // The place of port 1 is free now.
        balancer.adopt(&[upstream(vec![server(4, 1)])]);
        let (fourth, port) = take(&mut balancer).unwrap();
        assert_eq!((fourth.index, port), (first.index, 4));
        balancer.adopt(&[upstream(vec![])]);
        assert_eq!(take(&mut balancer), None);
    }
}
