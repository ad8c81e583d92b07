//! The short block that a start prints: what is served, within which bounds.

use std::fmt::Write;

use wsi_config::policy::Transport;
use wsi_dataplane::MemoryBound;

use crate::plan::Plan;

/// The whole block.
pub(crate) fn startup(plan: &Plan) -> String {
    let mut out = format!("websocket-inspector {}\n", env!("CARGO_PKG_VERSION"));
    let pinned: Vec<_> = plan.cpus.iter().flatten().map(usize::to_string).collect();
    line(&mut out, "shards", &format!("{}, on CPUs {}", plan.cpus.len(), pinned.join(" ")));
    for (listener, entrance) in plan.settings.listeners.iter().zip(&plan.listeners) {
        let routes: Vec<_> = entrance
            .routes
            .iter()
            .map(|route| {
                let upstream = plan.settings.upstreams.get(route.upstream.0);
                let engine = plan.engines.get(route.policy.0);
                format!(
                    "{}{} -> {} under {}",
                    route.host.as_deref().unwrap_or_default(),
                    route.path,
                    upstream.map_or("?", |each| &each.name),
                    engine.map_or("?", |each| each.name())
                )
            })
            .collect();
        line(&mut out, "listener", &format!("{} at {}: {}", listener.name, listener.bind, routes.join(", ")));
    }
    for (policy, engine) in plan.policies.iter().zip(&plan.engines) {
        if let Some(Transport { path, sessions_max, .. }) = &policy.transport {
            let text = format!("{}: {}, {sessions_max} sessions at most", engine.name(), path.display());
            line(&mut out, "agent", &text);
        }
    }
    if let Some(audit) = &plan.settings.audit {
        line(&mut out, "audit", &audit.path.display().to_string());
    }
    if let Some(admin) = &plan.settings.admin {
        line(&mut out, "admin", &format!("http://{}/metrics", admin.bind));
    }
    out + &limits(plan)
}

/// Limits and the memory that they add up to.
pub(crate) fn limits(plan: &Plan) -> String {
    let mut out = String::new();
    let runtime = &plan.settings.runtime;
    let is_tls = [
        plan.listeners.iter().any(|each| each.tls.is_some()),
        plan.upstreams.iter().any(|each| each.tls.is_some()),
    ];
    let tls_legs = is_tls.into_iter().filter(|is_tls| *is_tls).count() as u64;
    let memory = MemoryBound::new(plan.engines.iter().map(|engine| &**engine), tls_legs);
    let shards = plan.cpus.len() as u64;
    line(
        &mut out,
        "limits",
        &format!(
            "{} connections, {} of traffic held, drain within {} s",
            runtime.connections_max,
            size(plan.memory_max),
            runtime.drain_timeout_s
        ),
    );
    let audit = plan.settings.audit.as_ref().map_or(0, |_| {
        wsi_telemetry::audit::queue_size_max(wsi_telemetry::audit::QUEUE_RECORDS_DEFAULT) as u64
    });
    let once = memory.process.saturating_add(shards.saturating_mul(memory.shard + audit));
    let all = |connection| once.saturating_add(runtime.connections_max.saturating_mul(connection));
    let worst = all(memory.connection_max);
    // Idle connections, what may be held of traffic, and the step of each shard by which that is exceeded at most.
    let idle = all(memory.connection_idle);
    let held = idle.saturating_add(plan.memory_max).saturating_add(shards.saturating_mul(memory.step_max));
    line(
        &mut out,
        "memory",
        &format!(
            "{} shared, {} a shard; a connection {} idle, {} at most; all idle {}, all at worst {}",
            size(memory.process),
            size(memory.shard + audit),
            size(memory.connection_idle),
            size(memory.connection_max),
            size(idle),
            size(worst.min(held)),
        ),
    );
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "  {name:<10} {text}");
}

/// With the unit that makes it short.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn sizes_are_readable() {
        assert_eq!(super::size(1023), "1023 B");
        assert_eq!(super::size(1 << 20), "1.0 MiB");
        assert_eq!(super::size(1536), "1.5 KiB");
        assert_eq!(super::size(u64::MAX), "16384.0 PiB");
    }
}
