//! Questions of other threads about open connections, which shards answer between their turns.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        mpsc::{self, Sender, SyncSender},
    },
    time::{Duration, Instant},
};

use ipnet::IpNet;
use wsi_inspect::Totals;

use crate::{
    connection::{Connection, Phase},
    core::Core,
    table::Table,
    token::Key,
    wake::Wake,
};

/// Questions that may wait for a shard; another one is not taken.
pub(crate) const QUESTIONS_MAX: usize = 16;
/// Slots of the table that are looked at in one turn.
const SLOTS_PER_TURN_MAX: usize = 4096;
/// How long shards may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Which connections are meant: those that have all of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Shard, and number on it, as in records.
    pub id: Option<(u16, u64)>,
    pub client: Option<IpNet>,
    /// An index into [`Revision::engines`](crate::Revision::engines).
    pub policy: Option<u16>,
    pub listener: Option<u16>,
}

/// What a connection is, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionInfo {
    pub shard: u16,
    pub connection: u64,
    pub client: SocketAddr,
    pub listener: u16,
    pub policy: Option<u16>,
    /// `opening`, `open` or `closing`.
    pub phase: &'static str,
    /// Since it was accepted.
    pub age: Duration,
    /// Since anything came, while it is open.
    pub idle: Duration,
    pub totals: Totals,
}

/// Connections that were found.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    pub connections: Vec<ConnectionInfo>,
    /// Of all, those included that were too many to be listed.
    pub found: u64,
}

/// Asks running shards.
#[derive(Clone, Debug)]
pub struct Control {
    shards: Arc<[(Wake, SyncSender<Question>)]>,
}

/// A shard did not answer, or too much was asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shards are too busy to answer; try again")]
pub struct TooBusy;

#[derive(Debug)]
pub(crate) struct Question {
    filter: Filter,
    act: Act,
    /// The slot of the table that is looked at next.
    next: usize,
    answer: Listing,
    reply: Sender<Listing>,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    List { count_max: usize },
    Close,
}

impl Control {
    pub(crate) fn new(shards: impl IntoIterator<Item = (Wake, SyncSender<Question>)>) -> Self {
        Self { shards: shards.into_iter().collect() }
    }

    /// Lists at most `count_max` connections of each shard, in no order.
    ///
    /// # Errors
    /// [`TooBusy`].
    pub fn list(&self, filter: Filter, count_max: usize) -> Result<Listing, TooBusy> {
        self.ask(filter, Act::List { count_max })
    }

    /// Closes connections with 1001, and tells how many.
    ///
    /// # Errors
    /// [`TooBusy`]; some may have been closed.
    pub fn close(&self, filter: Filter) -> Result<u64, TooBusy> {
        self.ask(filter, Act::Close).map(|listing| listing.found)
    }

    fn ask(&self, filter: Filter, act: Act) -> Result<Listing, TooBusy> {
        let (reply, replies) = mpsc::channel();
        let mut asked = 0;
        for (shard, (wake, questions)) in self.shards.iter().enumerate() {
            if filter.id.is_some_and(|(wanted, _)| usize::from(wanted) != shard) {
                continue;
            }
            let question =
                Question { filter, act, next: 0, answer: Listing::default(), reply: reply.clone() };
            questions.try_send(question).map_err(|_| TooBusy)?;
            wake.rouse();
            asked += 1;
        }
        let ends = Instant::now() + ANSWER_TIMEOUT;
        let mut all = Listing::default();
        for _ in 0..asked {
            let left = ends.saturating_duration_since(Instant::now());
            let Listing { connections, found } = replies.recv_timeout(left).map_err(|_| TooBusy)?;
            all.connections.extend(connections);
            all.found += found;
        }
        Ok(all)
    }
}

impl Question {
    /// Looks at the next connections. `true`: these were the last, and it is answered. Those that are to be closed are added to
    /// `closes`.
    pub fn go_on(&mut self, table: &mut Table<Connection>, core: &Core, closes: &mut Vec<Key>) -> bool {
        let end = table.slots().min(self.next + SLOTS_PER_TURN_MAX);
        for slot in self.next..end {
            let Some(connection) = table.at(slot) else { continue };
            let info = connection.info(core);
            if !self.filter.takes(&info) {
                continue;
            }
            self.answer.found += 1;
            match self.act {
                Act::List { count_max } if self.answer.connections.len() < count_max => {
                    self.answer.connections.push(info);
                }
                Act::List { .. } => {}
                Act::Close => closes.push(connection.key),
            }
        }
        self.next = end;
        let is_done = end == table.slots();
        if is_done {
            // Who asked may have lost patience.
            let _ = self.reply.send(std::mem::take(&mut self.answer));
        }
        is_done
    }
}

impl Filter {
    fn takes(&self, info: &ConnectionInfo) -> bool {
        let client: IpAddr = info.client.ip().to_canonical();
        self.id.is_none_or(|id| id == (info.shard, info.connection))
            && self.client.is_none_or(|network| network.contains(&client))
            && self.policy.is_none_or(|policy| info.policy == Some(policy))
            && self.listener.is_none_or(|listener| info.listener == listener)
    }
}

impl Connection {
    fn info(&self, core: &Core) -> ConnectionInfo {
        let origin = self.origin;
        let since = |then_ns: u64| Duration::from_nanos(core.now_ns.saturating_sub(then_ns));
        let (phase, totals, active_ns) = match &self.phase {
            Phase::Request { .. } | Phase::Connecting(_) | Phase::Response { .. } => {
                ("opening", Totals::default(), core.now_ns)
            }
            Phase::Open(session) if !session.is_closing() => ("open", session.totals(), session.active_ns()),
            Phase::Open(session) => ("closing", session.totals(), session.active_ns()),
            Phase::Closing { .. } | Phase::Done => ("closing", Totals::default(), core.now_ns),
        };
        ConnectionInfo {
            shard: origin.shard,
            connection: origin.connection,
            client: origin.client,
            listener: origin.listener,
            policy: origin.policy,
            phase,
            age: since(self.accepted_ns),
            idle: since(active_ns),
            totals,
        }
    }
}
