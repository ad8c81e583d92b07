//! The counters of all shards as Prometheus text.

use std::{collections::BTreeMap, sync::Arc};

use wsi_inspect::Stats;
use wsi_policy::Direction;

use crate::{
    AgentStats, Counter, DataplaneStats, Names, ShardCells, Timings,
    audit::Counts,
    text::{Family, Kind},
};

/// A policy with at most this many rules of its own shows them from the start, at zero, so that a first verdict is seen
/// as a rise. The rules that every policy has, and those of larger policies, show once they were broken.
const ZERO_RULES_MAX: usize = 1_000;

/// What has become of the configuration since the start.
#[derive(Debug, Default)]
pub struct Reloads {
    pub revision: Counter,
    pub failures: Counter,
}

/// Renders what the shards published and the audit thread counted.
#[derive(Debug)]
pub struct Exposition {
    names: Arc<Names>,
    shards: Vec<Arc<ShardCells>>,
    audit: Arc<Counts>,
    reloads: Arc<Reloads>,
    timings: Option<Arc<Timings>>,
    version: &'static str,
}

impl Exposition {
    /// `version` is the product's, as in `0.1.0`.
    pub fn new(
        names: Arc<Names>,
        shards: Vec<Arc<ShardCells>>,
        audit: Arc<Counts>,
        reloads: Arc<Reloads>,
        version: &'static str,
    ) -> Self {
        Self { names, shards, audit, reloads, timings: None, version }
    }

    /// How long inspection took is shown too.
    #[must_use]
    pub fn with_timings(self, timings: Arc<Timings>) -> Self {
        Self { timings: Some(timings), ..self }
    }

    /// Text of the format 0.0.4 (`text/plain; version=0.0.4`). Every label comes from the configuration or from a closed
    /// list; upgrades that no policy took have an empty `policy`.
    pub fn render(&self) -> String {
        let mut out = String::new();
        Family::new(&mut out, "wsi_build_info", Kind::Gauge, "Always 1; the label says which version runs.")
            .sample(&[("version", self.version)], 1);
        Family::new(&mut out, "wsi_shards", Kind::Gauge, "Cores that carry connections.")
            .sample(&[], self.shards.len() as u64);
        self.write_reloads(&mut out);
        self.write_shards(&mut out);
        let dataplane = self.dataplane();
        write_connections(&mut out, &dataplane);
        write_traffic(&mut out, &dataplane);
        write_agent(&mut out, &dataplane.agent);
        let policies = self.policies();
        write_messages(&mut out, &policies);
        write_upgrades(&mut out, &policies);
        self.write_verdicts(&mut out, &policies);
        self.write_audit(&mut out, &dataplane);
        if let Some(timings) = &self.timings {
            timings.write(&mut out);
        }
        out
    }

    fn dataplane(&self) -> DataplaneStats {
        let mut sum = DataplaneStats::default();
        self.shards.iter().for_each(|shard| shard.add_dataplane_to(&mut sum));
        sum
    }

    /// Each policy with its sums, and last those without one.
    fn policies(&self) -> Vec<PolicySum<'_>> {
        let sum = |index| {
            let mut stats = Stats::default();
            self.shards.iter().for_each(|shard| shard.add_policy_to(index, &mut stats));
            stats
        };
        let policies = self.names.known_policies().enumerate();
        let policies = policies.map(|(i, policy)| PolicySum {
            name: &policy.name,
            rules: policy.known().collect(),
            stats: sum(Some(i)),
        });
        let unrouted = PolicySum {
            name: "",
            rules: self.names.fixed_rules.iter().map(String::as_str).collect(),
            stats: sum(None),
        };
        policies.chain([unrouted]).collect()
    }

    fn write_verdicts(&self, out: &mut String, policies: &[PolicySum<'_>]) {
        let help = "Verdicts other than allow, detect mode included. Rules of the configuration show from the start, others once broken.";
        let mut verdicts = Family::new(out, "wsi_verdicts_total", Kind::Counter, help);
        for policy in policies {
            for (rule, counts) in policy.verdicts(self.names.fixed_rules.len()) {
                for direction in Direction::BOTH {
                    let labels = [("policy", policy.name), ("rule", rule), ("direction", direction.name())];
                    verdicts.sample(&labels, counts[direction.index()]);
                }
            }
        }
    }

    /// How evenly cores are loaded.
    fn write_shards(&self, out: &mut String) {
        let of_each =
            || self.shards.iter().enumerate().map(|(number, shard)| (number.to_string(), shard.dataplane()));
        let help = "Client connections that are there now, by the core that carries them.";
        let mut open = Family::new(out, "wsi_shard_connections_open", Kind::Gauge, help);
        of_each().for_each(|(number, stats)| open.sample(&[("shard", &number)], stats.connections_open));
        let help = "Bytes read from sockets, by core.";
        let mut received = Family::new(out, "wsi_shard_received_bytes_total", Kind::Counter, help);
        for (number, stats) in of_each() {
            received.sample(&[("shard", &number)], stats.bytes_received.iter().sum());
        }
    }

    fn write_reloads(&self, out: &mut String) {
        let help = "The configuration that holds: 1 is the one of the start, and each reload adds one.";
        Family::new(out, "wsi_config_revision", Kind::Gauge, help).sample(&[], self.reloads.revision.value());
        let help = "Reloads that changed nothing, because the configuration has mistakes or does not fit.";
        Family::new(out, "wsi_reload_failures_total", Kind::Counter, help)
            .sample(&[], self.reloads.failures.value());
    }

    fn write_audit(&self, out: &mut String, dataplane: &DataplaneStats) {
        Family::new(out, "wsi_audit_written_total", Kind::Counter, "Audit records that were written.")
            .sample(&[], self.audit.written.value());
        let help = "Audit records that were lost: their queue was full, or they could not be written.";
        let mut lost = Family::new(out, "wsi_audit_lost_total", Kind::Counter, help);
        lost.sample(&[("reason", "queue_full")], dataplane.audit_lost);
        lost.sample(&[("reason", "write_failed")], self.audit.lost.value());
    }
}

/// A policy's name, rules and sums.
struct PolicySum<'a> {
    name: &'a str,
    rules: Vec<&'a str>,
    stats: Stats,
}

impl PolicySum<'_> {
    /// What is worth a line, by name: two rules of one name (a rule set that is listed twice) are one series.
    fn verdicts(&self, fixed_rules: usize) -> BTreeMap<&str, [u64; 2]> {
        let shows_zeros = self.rules.len().saturating_sub(fixed_rules) <= ZERO_RULES_MAX;
        let mut by_name = BTreeMap::new();
        for (i, (rule, counts)) in self.rules.iter().zip(&self.stats.verdicts).enumerate() {
            if *counts != [0; 2] || (shows_zeros && i >= fixed_rules) {
                let sum = by_name.entry(*rule).or_insert([0; 2]);
                sum[0] += counts[0];
                sum[1] += counts[1];
            }
        }
        by_name
    }
}

fn write_connections(out: &mut String, stats: &DataplaneStats) {
    Family::new(out, "wsi_connections_open", Kind::Gauge, "Client connections that are there now.")
        .sample(&[], stats.connections_open);
    Family::new(out, "wsi_connections_total", Kind::Counter, "Client connections that were accepted.")
        .sample(&[], stats.accepted);
    let help = "Client connections that were turned away because there were too many.";
    Family::new(out, "wsi_connections_refused_total", Kind::Counter, help).sample(&[], stats.refused_full);
    let help = "Connections to upstreams, by whether they could be made.";
    let mut upstreams = Family::new(out, "wsi_upstream_connects_total", Kind::Counter, help);
    upstreams.sample(&[("outcome", "connected")], stats.upstream_connects);
    upstreams.sample(&[("outcome", "failed")], stats.upstream_failures);
    Family::new(out, "wsi_sessions_opened_total", Kind::Counter, "Sessions that were opened, both legs.")
        .sample(&[], stats.sessions_opened);
    Family::new(out, "wsi_sessions_closed_total", Kind::Counter, "Sessions that have ended.")
        .sample(&[], stats.sessions_closed);
    let help = "Connections that ended because of a bug in this program; please report it.";
    Family::new(out, "wsi_panics_total", Kind::Counter, help).sample(&[], stats.panics);
    let help = "Upgrades that were not complete in time.";
    Family::new(out, "wsi_handshake_timeouts_total", Kind::Counter, help)
        .sample(&[], stats.timeouts_handshake);
}

fn write_traffic(out: &mut String, stats: &DataplaneStats) {
    let help = "Bytes read from sockets.";
    Family::new(out, "wsi_received_bytes_total", Kind::Counter, help)
        .by_direction(None, stats.bytes_received);
    Family::new(out, "wsi_sent_bytes_total", Kind::Counter, "Bytes written to sockets.")
        .by_direction(None, stats.bytes_sent);
    let help = "How often reading stopped because the other side did not take more.";
    Family::new(out, "wsi_backpressure_pauses_total", Kind::Counter, help).sample(&[], stats.pauses);
    let help =
        "Bytes held of messages on their way: put together, waiting to be written, windows of compression.";
    Family::new(out, "wsi_held_bytes", Kind::Gauge, help).sample(&[], stats.bytes_held);
    Family::new(out, "wsi_shard_turns_total", Kind::Counter, "Rounds of the shards' loops.")
        .sample(&[], stats.turns);
}

fn write_agent(out: &mut String, stats: &AgentStats) {
    Family::new(out, "wsi_agent_links_open", Kind::Gauge, "Connections of proxies that are there now.")
        .sample(&[], stats.links_open);
    Family::new(out, "wsi_agent_links_total", Kind::Counter, "Connections of proxies that were accepted.")
        .sample(&[], stats.links);
    let help = "Connections of proxies that were ended because of what came over them.";
    Family::new(out, "wsi_agent_faults_total", Kind::Counter, help).sample(&[], stats.faults);
    let help = "Configurations that a proxy pushed and that were refused.";
    Family::new(out, "wsi_agent_configurations_refused_total", Kind::Counter, help)
        .sample(&[], stats.configurations_refused);
    Family::new(out, "wsi_agent_frames_total", Kind::Counter, "Frames that a proxy asked about.")
        .sample(&[], stats.frames);
    let help = "WebSockets of proxies that are known now.";
    Family::new(out, "wsi_agent_sessions_open", Kind::Gauge, help).sample(&[], stats.sessions_open);
    let help =
        "WebSockets of proxies that were forgotten: there were too many, or they were silent too long.";
    let mut forgotten = Family::new(out, "wsi_agent_sessions_forgotten_total", Kind::Counter, help);
    forgotten.sample(&[("reason", "full")], stats.sessions_evicted);
    forgotten.sample(&[("reason", "idle")], stats.sessions_idle);
    let help = "Answers to a proxy that were not given because they were late.";
    Family::new(out, "wsi_agent_late_total", Kind::Counter, help).sample(&[], stats.late);
}

fn write_messages(out: &mut String, policies: &[PolicySum<'_>]) {
    let mut messages = Family::new(out, "wsi_messages_total", Kind::Counter, "Messages that were inspected.");
    for policy in policies {
        messages.by_direction(Some(policy.name), policy.stats.messages);
    }
    let help = "Bytes of payload of the messages that were inspected.";
    let mut bytes = Family::new(out, "wsi_message_bytes_total", Kind::Counter, help);
    for policy in policies {
        bytes.by_direction(Some(policy.name), policy.stats.message_bytes);
    }
    let mut frames = Family::new(out, "wsi_control_frames_total", Kind::Counter, "Pings, pongs and closes.");
    for policy in policies {
        frames.by_direction(Some(policy.name), policy.stats.control_frames);
    }
    let help = "Messages that passed although they could not be inspected to their end.";
    let mut passed = Family::new(out, "wsi_passed_uninspected_total", Kind::Counter, help);
    for policy in policies {
        passed.sample(&[("policy", policy.name)], policy.stats.passed_uninspected);
    }
    let help =
        "Messages and control frames that were redacted, or failed to be and were dropped or closed on.";
    write_outcomes(out, "wsi_redactions_total", help, policies, |stats| {
        [("redacted", stats.redacted), ("failed", stats.redact_failures)]
    });
    let help = "Messages that were rewritten, or failed to be and were dropped.";
    write_outcomes(out, "wsi_rewrites_total", help, policies, |stats| {
        [("rewritten", stats.rewritten), ("failed", stats.rewrite_failures)]
    });
    let help = "Replies to senders of dropped messages; omitted: the sender did not take those before them.";
    write_outcomes(out, "wsi_replies_total", help, policies, |stats| {
        [("sent", stats.replies_sent), ("omitted", stats.replies_omitted)]
    });
}

fn write_upgrades(out: &mut String, policies: &[PolicySum<'_>]) {
    let help = "Upgrades by outcome: accepted (answered with 101) or refused.";
    write_outcomes(out, "wsi_upgrades_total", help, policies, |stats| {
        [("accepted", stats.upgrades_accepted), ("refused", stats.upgrades_refused)]
    });
}

fn write_outcomes(
    out: &mut String,
    name: &'static str,
    help: &'static str,
    policies: &[PolicySum<'_>],
    outcomes: impl Fn(&Stats) -> [(&'static str, u64); 2],
) {
    let mut family = Family::new(out, name, Kind::Counter, help);
    for policy in policies {
        for (outcome, count) in outcomes(&policy.stats) {
            family.sample(&[("policy", policy.name), ("outcome", outcome)], count);
        }
    }
}

#[cfg(test)]
mod tests;
