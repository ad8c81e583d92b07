//! A connection until both legs are open: read the request, connect, read the answer.

use wsi_inspect::{Context, Place, Refusal, RequestStep, ResponseStep, Role, Upgrade};

use crate::{
    connection::{Connecting, Connection, Phase},
    core::Core,
    leg::{Attempted, Leg, Received},
    preface::{self, PrefaceStep},
    sink::AuditSink,
    upstream::{self, Attempt},
};

impl Connection {
    pub(crate) fn read_request(&mut self, core: &mut Core) {
        while self.client.is_readable {
            let size = match self.client.receive(&mut core.scratch) {
                Received::Bytes(size) => size,
                Received::Nothing => return,
                Received::End => {
                    self.phase = Phase::Done;
                    return;
                }
            };
            let start = self.read_preface(size, core);
            let Phase::Request { upgrade, .. } = &mut self.phase else { return };
            let Some(start) = start else { continue };
            let Core { scratch, worker, audit, listeners, engines, now_ns, memory, .. } = core;
            let listener = listeners.get(usize::from(self.origin.listener));
            let routes = listener.map_or(&[][..], |each| &each.routes);
            let trusted = listener.map_or(&[][..], |each| &each.trusted);
            let is_tls = self.client.is_tls();
            let full = match (self.is_over_limit, memory.is_full()) {
                (true, _) => Some(Refusal::ConnectionsMax),
                (false, is_full) => is_full.then_some(Refusal::MemoryMax),
            };
            let place = Place { routes, engines, client: self.origin.client.ip(), trusted, is_tls, full };
            let age_ns = now_ns.saturating_sub(self.accepted_ns);
            let mut sink = AuditSink { sender: audit, origin: self.origin, age_ns };
            let mut context = Context { now_ns: *now_ns, worker, sink: &mut sink };
            let step = upgrade.handle_request(&scratch[start..size], place, &mut context);
            self.origin = sink.origin;
            match step {
                RequestStep::More => {}
                RequestStep::Refused(answer) => return self.refuse(&answer, core),
                RequestStep::Connect { upstream, request } => {
                    let upgrade = std::mem::take(&mut **upgrade);
                    let timeout_ns = upgrade.engine().map_or(0, |engine| engine.handshake_timeout_ns());
                    let connecting = Connecting {
                        deadline_ns: self.accepted_ns.saturating_add(timeout_ns),
                        upgrade,
                        request,
                        attempt: Attempt::new(upstream),
                        attempt_deadline_ns: u64::MAX,
                    };
                    self.phase = Phase::Connecting(Box::new(connecting));
                    return self.connect(core);
                }
            }
        }
    }

    /// Reads the PROXY header from the first `size` bytes of the scratch, if one is to come; where the request begins. `None`: more of
    /// it must come, or it was refused.
    fn read_preface(&mut self, size: usize, core: &mut Core) -> Option<usize> {
        let Phase::Request { preface: awaited, .. } = &mut self.phase else { return None };
        let Some(preface) = awaited else { return Some(0) };
        let listener = core.listeners.get(usize::from(self.origin.listener));
        let trusted = listener.map_or(&[][..], |each| &each.trusted);
        let step = if preface::may_speak(self.origin.client.ip(), trusted) {
            preface.read(&core.scratch[..size])
        } else {
            PrefaceStep::Refused
        };
        match step {
            PrefaceStep::More => None,
            PrefaceStep::Done { consumed, client } => {
                *awaited = None;
                self.origin.client = client.unwrap_or(self.origin.client);
                let Some(tls) = listener.and_then(|each| each.tls.as_ref()) else { return Some(consumed) };
                if self.client.accept_tls(tls, &core.scratch[consumed..size]).is_err() {
                    self.phase = Phase::Done;
                }
                None
            }
            PrefaceStep::Refused => {
                self.refuse_for(Refusal::ProxyProtocol, core);
                None
            }
        }
    }

    /// Tries the next server.
    fn connect(&mut self, core: &mut Core) {
        let Phase::Connecting(connecting) = &mut self.phase else { return };
        let timeout = core.balancer.connect_timeout(connecting.attempt.upstream());
        while let Some((server_id, server)) = core.balancer.take(&mut connecting.attempt) {
            let Ok(stream) = upstream::connect(&server) else {
                core.stats.upstream_failures += 1;
                core.balancer.release(server_id);
                continue;
            };
            let timeout_ns = timeout.map_or(u64::MAX, |timeout| timeout.as_nanos() as u64);
            connecting.attempt_deadline_ns = core.now_ns.saturating_add(timeout_ns);
            let mut leg = Leg::new(stream, self.key, Role::Server);
            leg.watch_writable(&mut core.ring);
            self.server = Some(leg);
            self.server_id = Some(server_id);
            return;
        }
        self.refuse_for(Refusal::UpstreamUnreachable, core);
    }

    /// The attempt to connect has ended.
    pub(crate) fn on_connected(&mut self, core: &mut Core) {
        let Some(leg) = &mut self.server else { return };
        match leg.attempt() {
            Attempted::Connected => {}
            Attempted::Failed => return self.try_next_server(core),
            Attempted::Pending => return leg.watch_writable(&mut core.ring),
        }
        core.stats.upstream_connects += 1;
        let Phase::Connecting(connecting) = &mut self.phase else { return };
        let (request, deadline_ns) = (std::mem::take(&mut connecting.request), connecting.deadline_ns);
        let upgrade = Box::new(std::mem::take(&mut connecting.upgrade));
        if let Some(tls) = core.balancer.tls(connecting.attempt.upstream())
            && leg.begin_tls(&tls.config, tls.name.clone()).is_err()
        {
            self.phase = Phase::Response { upgrade, deadline_ns };
            return self.refuse_for(Refusal::UpstreamUnreachable, core);
        }
        leg.send(&request, core.now_ns, &mut core.ring, &mut core.worker);
        leg.watch(&mut core.ring);
        self.phase = Phase::Response { upgrade, deadline_ns };
    }

    fn try_next_server(&mut self, core: &mut Core) {
        core.stats.upstream_failures += 1;
        self.release_server(core);
        self.connect(core);
    }

    /// While the server is asked, the client must wait: bytes are early data, an end gives up.
    pub(crate) fn watch_for_early_end(&mut self, core: &mut Core) {
        if !self.client.is_readable {
            return;
        }
        match self.client.receive(&mut core.scratch) {
            Received::Nothing => {}
            Received::Bytes(_) => self.refuse_for(Refusal::EarlyData, core),
            Received::End => self.phase = Phase::Done,
        }
    }

    pub(crate) fn read_response(&mut self, core: &mut Core) {
        loop {
            let (Phase::Response { upgrade, .. }, Some(server)) = (&mut self.phase, &mut self.server) else {
                return;
            };
            if !server.is_readable && !server.has_ended {
                return;
            }
            let size = match server.receive(&mut core.scratch) {
                Received::Bytes(size) => size,
                Received::Nothing => return,
                Received::End if server.tls_fault().is_some() => {
                    return self.refuse_for(Refusal::UpstreamUnverified, core);
                }
                Received::End => return self.refuse_for(Refusal::UpstreamUnreachable, core),
            };
            let Core { scratch, worker, audit, now_ns, .. } = core;
            let age_ns = now_ns.saturating_sub(self.accepted_ns);
            let mut sink = AuditSink { sender: audit, origin: self.origin, age_ns };
            let mut context = Context { now_ns: *now_ns, worker, sink: &mut sink };
            match upgrade.handle_response(&scratch[..size], &mut context) {
                ResponseStep::More => {}
                ResponseStep::Refused(answer) => return self.refuse(&answer, core),
                ResponseStep::Open { response, consumed, session } => {
                    self.phase = Phase::Open(session);
                    core.stats.sessions_opened += 1;
                    self.client.send(&response, core.now_ns, &mut core.ring, &mut core.worker);
                    return self.relay_first(consumed, size, core);
                }
            }
        }
    }

    pub(crate) fn opening_timeout(&mut self, core: &mut Core) {
        let now_ns = core.now_ns;
        match &self.phase {
            // A connection that was opened ahead of need, or a scanner: nobody waits for an answer.
            Phase::Request { upgrade, .. } if upgrade.is_untouched() => {
                core.stats.timeouts_handshake += 1;
                self.phase = Phase::Done;
            }
            Phase::Request { .. } => {
                core.stats.timeouts_handshake += 1;
                self.refuse_for(Refusal::Timeout, core);
            }
            Phase::Connecting(connecting) if now_ns < connecting.deadline_ns => self.try_next_server(core),
            _ => {
                core.stats.timeouts_handshake += 1;
                self.refuse_for(Refusal::UpstreamTimeout, core);
            }
        }
    }

    pub(crate) fn refuse_for(&mut self, refusal: Refusal, core: &mut Core) {
        let upgrade: &mut Upgrade = match &mut self.phase {
            Phase::Request { upgrade, .. } | Phase::Response { upgrade, .. } => upgrade,
            Phase::Connecting(connecting) => &mut connecting.upgrade,
            _ => return,
        };
        let age_ns = core.now_ns.saturating_sub(self.accepted_ns);
        let mut sink = AuditSink { sender: &mut core.audit, origin: self.origin, age_ns };
        let mut context = Context { now_ns: core.now_ns, worker: &mut core.worker, sink: &mut sink };
        let answer = upgrade.refuse(refusal, &mut context);
        self.refuse(&answer, core);
    }

    fn refuse(&mut self, answer: &[u8], core: &mut Core) {
        self.client.send(answer, core.now_ns, &mut core.ring, &mut core.worker);
        self.release_server(core);
        self.begin_closing(core);
    }
}
