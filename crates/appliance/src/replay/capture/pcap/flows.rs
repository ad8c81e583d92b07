//! All TCP connections of a capture.

use std::{collections::HashMap, net::SocketAddr};

use super::{
    flow::{Flow, What},
    http::Kind,
    segment::Segment,
};
use crate::replay::player::{Fault, Player};

/// Connections that are followed, or remembered as not to be followed, at once.
const FLOWS_MAX: usize = 65_536;

#[derive(Default)]
pub(super) struct Flows {
    /// By the addresses, the lesser first.
    flows: HashMap<[SocketAddr; 2], (u64, Flow)>,
    /// Numbers them in the order in which they began.
    began: u64,
    now_ns: u64,
    sockets: u64,
    encrypted: u64,
    http2: u64,
    late: u64,
    unknown: u64,
    /// Segments of connections beyond [`FLOWS_MAX`].
    beyond: u64,
}

impl Flows {
    /// # Errors
    /// The output's.
    pub fn take(&mut self, player: &mut Player<'_>, segment: &Segment<'_>, at_ns: u64) -> Result<(), Fault> {
        self.now_ns = self.now_ns.max(at_ns);
        let key =
            if segment.from < segment.to { [segment.from, segment.to] } else { [segment.to, segment.from] };
        if segment.syn && !segment.ack {
            let is_new = self.flows.get(&key).is_some_and(|(_, flow)| !flow.is_opened_by(segment));
            if is_new && let Some((_, flow)) = self.flows.remove(&key) {
                self.end(player, flow)?;
            }
        } else if segment.payload.is_empty() && !self.flows.contains_key(&key) {
            return Ok(());
        }
        if self.flows.len() >= FLOWS_MAX && !self.flows.contains_key(&key) {
            self.forget();
            if self.flows.len() >= FLOWS_MAX {
                self.beyond += 1;
                return Ok(());
            }
        }
        let began = &mut self.began;
        let (_, flow) = self.flows.entry(key).or_insert_with(|| {
            *began += 1;
            (*began, Flow::new(segment))
        });
        self.sockets += flow.take(player, segment, at_ns)?;
        Ok(())
    }

    /// # Errors
    /// The output's.
    pub fn finish(&mut self, player: &mut Player<'_>) -> Result<(), Fault> {
        let mut flows: Vec<_> = self.flows.drain().map(|(_, flow)| flow).collect();
        flows.sort_by_key(|(number, _)| *number);
        flows.into_iter().try_for_each(|(_, flow)| self.end(player, flow))
    }

    pub fn found_none(&self) -> bool {
        self.sockets == 0
    }

    /// What was not followed, and what to do about it.
    pub fn notes(&self) -> Vec<String> {
        let notes = [
            (
                self.encrypted,
                "TLS connections, encrypted and not read: export a HAR from the browser, or capture behind the hop that ends TLS",
            ),
            (
                self.http2,
                "HTTP/2 connections, not read: capture where WebSockets are opened over HTTP/1.1, or export a HAR from the browser",
            ),
            (
                self.late,
                "connections that had begun before the capture, not read: begin it before they are opened",
            ),
            (
                self.beyond,
                "packets of connections beyond those that can be followed at once: split the capture",
            ),
        ];
        let mut notes: Vec<_> = notes
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, text)| format!("{count} {text}"))
            .collect();
        if self.found_none() && self.unknown > 0 {
            notes.push(format!("{} connections of other kinds", self.unknown));
        }
        notes
    }

    fn end(&mut self, player: &mut Player<'_>, mut flow: Flow) -> Result<(), Fault> {
        self.sockets += flow.finish(player, self.now_ns)?;
        self.count(&flow);
        Ok(())
    }

    /// Makes room.
    fn forget(&mut self) {
        let flows = std::mem::take(&mut self.flows);
        for (key, (number, flow)) in flows {
            if flow.is_done() {
                self.count(&flow);
            } else {
                self.flows.insert(key, (number, flow));
            }
        }
    }

    fn count(&mut self, flow: &Flow) {
        match flow.other() {
            Some(What::Kind(Kind::Tls)) => self.encrypted += 1,
            Some(What::Kind(Kind::Http2)) => self.http2 += 1,
            Some(What::Kind(Kind::Unknown)) => self.unknown += 1,
            Some(What::Late) => self.late += 1,
            None => {}
        }
    }
}
