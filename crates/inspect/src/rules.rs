//! The names that a verdict can carry. A rule is a number on the message path; its name is looked up where
//! somebody reads it.

use std::collections::HashMap;

use wsi_ws::{ProtocolError, handshake::HandshakeError};

use crate::{condition::Condition, frames::Anomaly};

/// A rule of one engine, an index into its [`RuleTable`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleId(u16);

impl RuleId {
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The rule that a fault of RFC 6455 breaks. Every engine has these, in the order of [`ProtocolError::ALL`].
    pub fn protocol(fault: ProtocolError) -> Self {
        Self::fixed(0, ProtocolError::ALL.iter().position(|each| *each == fault))
    }

    /// The rule that an upgrade breaks.
    pub fn handshake(fault: HandshakeError) -> Self {
        Self::fixed(ProtocolError::ALL.len(), HandshakeError::ALL.iter().position(|each| *each == fault))
    }

    /// The rule of an upgrade that the policy, not the protocol, refuses.
    pub fn refusal(refusal: Refusal) -> Self {
        let before = ProtocolError::ALL.len() + HandshakeError::ALL.len();
        Self::fixed(before, Refusal::ALL.iter().position(|each| *each == refusal))
    }

    /// The rule of a message that could not be inspected.
    pub fn condition(condition: Condition) -> Self {
        let before = ProtocolError::ALL.len() + HandshakeError::ALL.len() + Refusal::ALL.len();
        Self::fixed(before, Condition::ALL.iter().position(|each| *each == condition))
    }

    /// The rule of a limit of a connection.
    pub fn breach(breach: Breach) -> Self {
        let before = ProtocolError::ALL.len() + HandshakeError::ALL.len() + Refusal::ALL.len();
        let position = Breach::ALL.iter().position(|each| *each == breach);
        Self::fixed(before + Condition::ALL.len(), position)
    }

    /// The rule that a proxy's events break, rather than what they carry.
    pub fn anomaly(anomaly: Anomaly) -> Self {
        let before = ProtocolError::ALL.len() + HandshakeError::ALL.len() + Refusal::ALL.len();
        let before = before + Condition::ALL.len() + Breach::ALL.len();
        Self::fixed(before, Anomaly::ALL.iter().position(|each| *each == anomaly))
    }

    fn fixed(before: usize, position: Option<usize>) -> Self {
        // The lists hold every variant (a test counts them) and a few dozen names in all.
        Self((before + position.unwrap_or(0)) as u16)
    }
}

/// Why a policy, rather than the protocol, refuses an upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Compression,
    ConnectionsMax,
    EarlyData,
    MemoryMax,
    Origin,
    ProxyProtocol,
    Route,
    Subprotocol,
    Timeout,
    UpstreamTimeout,
    UpstreamUnreachable,
    UpstreamUnverified,
}

impl Refusal {
    pub const ALL: [Self; 12] = [
        Self::Compression,
        Self::ConnectionsMax,
        Self::EarlyData,
        Self::MemoryMax,
        Self::Origin,
        Self::ProxyProtocol,
        Self::Route,
        Self::Subprotocol,
        Self::Timeout,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::UpstreamUnverified,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Compression => "compression",
            Self::ConnectionsMax => "max-connections",
            Self::EarlyData => "early-data",
            Self::MemoryMax => "max-memory",
            Self::Origin => "allow-origins",
            Self::ProxyProtocol => "proxy-protocol",
            Self::Route => "route",
            Self::Subprotocol => "subprotocols",
            Self::Timeout => "timeout-ms",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamUnverified => "upstream-unverified",
        }
    }

    /// The HTTP status of our answer (RFC 9110 section 15).
    pub const fn status(self) -> u16 {
        match self {
            Self::Compression | Self::EarlyData | Self::ProxyProtocol | Self::Subprotocol => 400,
            Self::Origin => 403,
            Self::Route => 404,
            Self::Timeout => 408,
            Self::UpstreamUnreachable | Self::UpstreamUnverified => 502,
            Self::ConnectionsMax | Self::MemoryMax => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// What the client is told.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Compression => {
                "This route does not accept an offer of permessage-deflate; connect without compression."
            }
            Self::ConnectionsMax => "Too many connections; try again later.",
            Self::EarlyData => "Data was sent before the upgrade was answered; wait for the 101.",
            Self::MemoryMax => "Too much traffic is under way; try again later.",
            Self::Origin => "This origin may not connect here.",
            Self::ProxyProtocol => {
                "Connections come here through a proxy that says for whom (PROXY protocol)."
            }
            Self::Route => "Nothing is served at this path.",
            Self::Subprotocol => "None of the offered subprotocols is accepted here.",
            Self::Timeout => "The upgrade took too long.",
            Self::UpstreamTimeout => "The server behind did not answer in time.",
            Self::UpstreamUnreachable => "The server behind can't be reached.",
            Self::UpstreamUnverified => "The server behind did not prove who it is.",
        }
    }
}

/// A limit of a connection that its frames, one by one, do not break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// Pings and pongs come faster than `control-frames-per-second`.
    ControlRate,
    /// All connections together hold as much as `runtime { max-memory }` allows.
    MemoryMax,
    /// A message was begun and not finished within `message-timeout-ms`.
    MessageTimeout,
    /// An endpoint took nothing of what waits for it within `write-timeout-ms`.
    WriteTimeout,
}

impl Breach {
    pub const ALL: [Self; 4] = [Self::ControlRate, Self::MemoryMax, Self::MessageTimeout, Self::WriteTimeout];

    /// The name of its option.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ControlRate => "control-frames-per-second",
            Self::MemoryMax => "max-memory",
            Self::MessageTimeout => "message-timeout-ms",
            Self::WriteTimeout => "write-timeout-ms",
        }
    }

    /// What the endpoints are told; it fits a close frame.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ControlRate => "more pings and pongs a second than the limit",
            Self::MemoryMax => "too much traffic is under way; try again later",
            Self::MessageTimeout => "message not finished in time",
            Self::WriteTimeout => "messages not read in time",
        }
    }
}

/// The names of an engine's rules.
#[derive(Clone, Debug)]
pub struct RuleTable {
    names: Vec<String>,
    /// Configured rules of earlier policies of the same name, which records and counters may still speak of.
    before: HashMap<String, u16>,
}

impl Default for RuleTable {
    /// The rules that every engine has.
    fn default() -> Self {
        let protocol = ProtocolError::ALL.iter().map(|fault| match fault {
            ProtocolError::FrameTooBig => "limits/max-frame-size".into(),
            ProtocolError::InflateRatio => "limits/max-inflate-ratio".into(),
            ProtocolError::MessageTooBig => "limits/max-message-size".into(),
            ProtocolError::TooManyFragments => "limits/max-fragments".into(),
            fault => format!("protocol/{}", fault.name()),
        });
        let handshake = HandshakeError::ALL.iter().map(|fault| format!("handshake/{}", fault.name()));
        let refusals = Refusal::ALL.iter().map(|refusal| format!("handshake/{}", refusal.name()));
        let conditions =
            Condition::ALL.iter().map(|condition| format!("could-not-inspect/{}", condition.name()));
        let breaches = Breach::ALL.iter().map(|breach| format!("limits/{}", breach.name()));
        let anomalies = Anomaly::ALL.iter().map(|anomaly| format!("agent/{}", anomaly.name()));
        let first = protocol.chain(handshake).chain(refusals);
        let names = first.chain(conditions).chain(breaches).chain(anomalies).collect();
        Self { names, before: HashMap::new() }
    }
}

impl RuleTable {
    /// A table to go on with: a number means the same in every policy that is compiled over it.
    pub(crate) fn successor(&self) -> Self {
        let before = self.names.iter().zip(0..).map(|(name, id)| (name.clone(), id)).collect();
        Self { names: self.names.clone(), before }
    }

    /// Adds a configured rule; one whose name was known before this policy keeps its place. `None`: the table is full
    /// (65,536 rules).
    pub(crate) fn push(&mut self, name: String) -> Option<RuleId> {
        if let Some(known) = self.before.get(&name) {
            return Some(RuleId(*known));
        }
        let id = u16::try_from(self.names.len()).ok()?;
        self.names.push(name);
        Some(RuleId(id))
    }

    pub fn name(&self, rule: RuleId) -> &str {
        self.names.get(rule.index()).map_or("unknown", String::as_str)
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_rules_have_their_names() {
        let table = RuleTable::default();
        assert_eq!(table.name(RuleId::protocol(ProtocolError::CloseCode)), "protocol/close-code");
        assert_eq!(
            table.name(RuleId::protocol(ProtocolError::UnmaskedByClient)),
            "protocol/unmasked-by-client"
        );
        for fault in HandshakeError::ALL {
            assert_eq!(table.name(RuleId::handshake(fault)), format!("handshake/{}", fault.name()));
        }
        for refusal in Refusal::ALL {
            assert_eq!(table.name(RuleId::refusal(refusal)), format!("handshake/{}", refusal.name()));
        }
        for condition in Condition::ALL {
            let name = format!("could-not-inspect/{}", condition.name());
            assert_eq!(table.name(RuleId::condition(condition)), name);
        }
        for anomaly in Anomaly::ALL {
            assert_eq!(table.name(RuleId::anomaly(anomaly)), format!("agent/{}", anomaly.name()));
        }
        for breach in Breach::ALL {
            assert_eq!(table.name(RuleId::breach(breach)), format!("limits/{}", breach.name()));
        }
    }
}
