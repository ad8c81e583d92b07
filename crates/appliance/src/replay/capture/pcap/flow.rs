//! One TCP connection.

use std::net::SocketAddr;

use wsi_config::policy::Direction;

use super::{
    http::{Http, Kind, Step, Upgrade},
    segment::Segment,
    stream::Stream,
};
use crate::replay::{
    connection::Connection,
    opening::{Opening, status},
    player::{Fault, Player},
};

pub(super) struct Flow {
    /// Who is who, by side.
    addresses: [SocketAddr; 2],
    streams: [Stream; 2],
    /// The side that opened the connection, or that asks.
    client: Option<usize>,
    /// Packets that were recorded in part, by side.
    cut: [u64; 2],
    state: State,
}

enum State {
    Http(Box<Http>),
    Socket(Box<Connection>),
    Other(What),
    Over,
}

/// What is not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Kind(Kind),
    /// It has no beginning.
    Late,
}

impl Flow {
    pub fn new(first: &Segment<'_>) -> Self {
        Self {
            addresses: [first.from, first.to],
            streams: Default::default(),
            client: None,
            cut: [0; 2],
            state: State::Http(Box::default()),
        }
    }

    /// Nothing more of it is of interest.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Other(_) | State::Over)
    }

    /// What it is instead of a WebSocket.
    pub fn other(&self) -> Option<What> {
        match self.state {
            State::Other(what) => Some(what),
            State::Http(_) | State::Socket(_) | State::Over => None,
        }
    }

    /// Whether `segment`, which opens a connection, is a copy of the one that opened this.
    pub fn is_opened_by(&self, segment: &Segment<'_>) -> bool {
        self.streams[self.side(segment)].begins_with(segment.sequence.wrapping_add(1))
    }

    /// Takes a segment. How many WebSockets it opened.
    ///
    /// # Errors
    /// The output's.
    pub fn take(&mut self, player: &mut Player<'_>, segment: &Segment<'_>, at_ns: u64) -> Result<u64, Fault> {
        if self.is_done() {
            return Ok(0);
        }
        let side = self.side(segment);
        let sequence = segment.sequence.wrapping_add(u32::from(segment.syn));
        if segment.syn {
            self.streams[side].begin(sequence);
            self.client = Some(if segment.ack { 1 - side } else { side });
        }
        if segment.is_cut {
            self.cut[side] += 1;
        }
        let mut opened = 0;
        if !self.is_lost(side) {
            match self.streams[side].take(sequence, segment.payload) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => opened += self.give(player, side, at_ns, &bytes)?,
                Err(_) => opened += self.lose(player, side, at_ns)?,
            }
        }
        if segment.fin {
            self.streams[side].end(sequence.wrapping_add(segment.payload.len() as u32));
        }
        if segment.rst || self.streams.iter().all(Stream::is_over) {
            opened += self.finish(player, at_ns)?;
        }
        Ok(opened)
    }

    /// Nothing more comes. How many WebSockets that opened.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(&mut self, player: &mut Player<'_>, at_ns: u64) -> Result<u64, Fault> {
        let mut opened = 0;
        for side in [0, 1] {
            if self.streams[side].missing().is_some() {
                opened += self.lose(player, side, at_ns)?;
            }
        }
        if let State::Http(http) = &mut self.state
            && let Some(upgrade) = http.unanswered()
        {
            opened += 1;
            let connection = self.open(player, &upgrade, at_ns)?;
            player.close(connection)?;
        }
        if self.other().is_none()
            && let State::Socket(connection) = std::mem::replace(&mut self.state, State::Over)
        {
            player.close(*connection)?;
        }
        Ok(opened)
    }

    /// Bytes of `side` in their order.
    fn give(&mut self, player: &mut Player<'_>, side: usize, at_ns: u64, bytes: &[u8]) -> Result<u64, Fault> {
        let direction = self.direction(side);
        let http = match &mut self.state {
            State::Http(http) => http,
            State::Socket(connection) => {
                player.bytes(connection, direction, at_ns, bytes)?;
                return Ok(0);
            }
            State::Other(_) | State::Over => return Ok(0),
        };
        // Without its beginning, a connection is told by who asks.
        let step = match self.client {
            Some(client) if client == side => http.take_request(bytes),
            Some(_) => http.take_answer(bytes),
            None => {
                let step = http.take_request(bytes);
                match step {
                    Step::Other(Kind::Unknown) => {
                        self.state = State::Other(What::Late);
                        return Ok(0);
                    }
                    step => {
                        self.client = Some(side);
                        step
                    }
                }
            }
        };
        match step {
            Step::More => Ok(0),
            Step::Other(kind) => {
                self.state = State::Other(What::Kind(kind));
                Ok(0)
            }
            Step::Answered(upgrade) => self.answered(player, &upgrade, at_ns),
        }
    }

    fn answered(&mut self, player: &mut Player<'_>, upgrade: &Upgrade, at_ns: u64) -> Result<u64, Fault> {
        let mut connection = self.open(player, upgrade, at_ns)?;
        let early = &upgrade.request[upgrade.request_end..];
        if upgrade.answer.as_deref().is_some_and(|answer| status(answer) == 101) {
            player.bytes(&mut connection, Direction::ToClient, at_ns, &upgrade.rest)?;
            player.bytes(&mut connection, Direction::ToServer, at_ns, early)?;
            self.state = State::Socket(Box::new(connection));
        } else {
            // The client may ask again.
            player.close(connection)?;
        }
        Ok(1)
    }

    fn open(&self, player: &mut Player<'_>, upgrade: &Upgrade, at_ns: u64) -> Result<Connection, Fault> {
        let client = self.client.unwrap_or(0);
        let (from, to) = (self.addresses[client], self.addresses[1 - client]);
        let target = upgrade.request.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let name = format!("{from}->{to}{}", String::from_utf8_lossy(&path[..path.len().min(256)]));
        let opening = Opening {
            at_ns: Some(at_ns),
            client: from.ip(),
            port: Some(to.port()),
            request: Some(upgrade.request.clone()),
            answer: upgrade.answer.clone(),
            is_wire: true,
        };
        player.open(name, &opening)
    }

    /// What comes next of `side` is not there. How many WebSockets that opened.
    fn lose(&mut self, player: &mut Player<'_>, side: usize, at_ns: u64) -> Result<u64, Fault> {
        let missing = self.streams[side].missing().unwrap_or(0);
        let advice = if self.cut[side] > 0 {
            "packets were recorded in part: capture with a snapshot length of 0"
        } else {
            "packets were not recorded: capture nearer to an endpoint, or with a larger buffer"
        };
        let why = format!("{missing} bytes are missing; {advice}");
        let direction = self.direction(side);
        match &mut self.state {
            State::Socket(connection) => {
                connection.lost[direction.index()].get_or_insert(why);
            }
            State::Http(http) => {
                let Some(upgrade) = http.unanswered() else {
                    self.state = State::Other(What::Kind(Kind::Unknown));
                    return Ok(0);
                };
                let mut connection = self.open(player, &upgrade, at_ns)?;
                connection.lost[direction.index()] = Some(why);
                player.close(connection)?;
                self.state = State::Over;
                return Ok(1);
            }
            State::Other(_) | State::Over => {}
        }
        Ok(0)
    }

    fn is_lost(&self, side: usize) -> bool {
        match &self.state {
            State::Socket(connection) => connection.lost[self.direction(side).index()].is_some(),
            State::Http(_) | State::Other(_) | State::Over => false,
        }
    }

    fn side(&self, segment: &Segment<'_>) -> usize {
        usize::from(segment.from != self.addresses[0])
    }

    fn direction(&self, side: usize) -> Direction {
        if self.client == Some(side) { Direction::ToServer } else { Direction::ToClient }
    }
}
