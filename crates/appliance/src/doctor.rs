//! `doctor`: what this machine has of what the inspector needs, and what to do where it lacks something.

use std::{error::Error, fs, path::Path, process::ExitCode};

use rustix::process::{Resource, getrlimit};

use crate::plan::Plan;

/// Below this glommio refuses to start.
const MEMLOCK_MIN: u64 = 512 << 10;
/// Sockets of one connection.
const DESCRIPTORS_PER_CONNECTION: u64 = 2;
/// Files of the process itself: logs, rings, listeners.
const DESCRIPTORS_OWN: u64 = 64;

struct Finding {
    name: &'static str,
    grade: Grade,
    what: String,
    advice: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Grade {
    Fine,
    Poor,
    Missing,
}

/// Prints a line for each need; exit code 1 when one is not met at all.
///
/// # Errors
/// The configuration, if one is named and it is invalid.
pub(crate) fn doctor(config: Option<&Path>) -> Result<ExitCode, Box<dyn Error>> {
    let connections = match config {
        Some(path) => Plan::load(path)?.settings.runtime.connections_max,
        None => wsi_config::Runtime::CONNECTIONS_MAX_DEFAULT,
    };
    let findings = [kernel(), io_uring(), memlock(), nofile(connections), backlog(), cpu(), cores()];
    for finding in &findings {
        let grade = match finding.grade {
            Grade::Fine => "ok",
            Grade::Poor => "warning",
            Grade::Missing => "missing",
        };
        println!("  {grade:<8} {:<10} {}", finding.name, finding.what);
        if finding.grade != Grade::Fine {
            println!("  {:<8} {:<10} -> {}", "", "", finding.advice);
        }
    }
    let is_usable = findings.iter().all(|finding| finding.grade != Grade::Missing);
    Ok(if is_usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn finding(name: &'static str, grade: Grade, what: String, advice: &str) -> Finding {
    Finding { name, grade, what, advice: advice.to_owned() }
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let grade = match version {
        (6, 1..) | (7.., _) => Grade::Fine,
        (5, 19..) | (6, 0) => Grade::Poor,
        _ => Grade::Missing,
    };
    let advice = "use Linux 6.1 or later: from 5.19 on it works, but every message costs an interrupt more";
    finding("kernel", grade, format!("Linux {release}"), advice)
}

fn io_uring() -> Finding {
    match wsi_dataplane::probe() {
        Ok(true) => finding("io_uring", Grade::Fine, "with deferred task work".into(), ""),
        Ok(false) => finding(
            "io_uring",
            Grade::Poor,
            "without deferred task work".into(),
            "use Linux 6.1 or later; it works, but every message costs an interrupt more",
        ),
        Err(error) => {
            let disabled = read("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
            let advice = "set kernel.io_uring_disabled to 0 (sysctl), and let the container's seccomp profile allow io_uring_setup, io_uring_enter and io_uring_register";
            finding(
                "io_uring",
                Grade::Missing,
                format!("{error}; kernel.io_uring_disabled is {disabled:?}"),
                advice,
            )
        }
    }
}

fn memlock() -> Finding {
    let limit = getrlimit(Resource::Memlock).current;
    let grade = if limit.is_none_or(|limit| limit >= MEMLOCK_MIN) { Grade::Fine } else { Grade::Missing };
    let advice = "raise it to 512 KiB or more for each shard: `ulimit -l unlimited`, or LimitMEMLOCK=infinity in the systemd unit";
    finding(
        "memlock",
        grade,
        limit.map_or("unlimited".into(), |limit| format!("{} KiB", limit >> 10)),
        advice,
    )
}

fn nofile(connections: u64) -> Finding {
    let limit = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let needed = connections.saturating_mul(DESCRIPTORS_PER_CONNECTION).saturating_add(DESCRIPTORS_OWN);
    let grade = if limit >= needed { Grade::Fine } else { Grade::Poor };
    let what = format!("{limit} descriptors, {needed} needed for {connections} connections");
    let possible = limit.saturating_sub(DESCRIPTORS_OWN) / DESCRIPTORS_PER_CONNECTION;
    let advice = format!(
        "raise the hard limit (LimitNOFILE={needed} in the systemd unit, and fs.nr_open above it), or set max-connections to {possible}"
    );
    finding("nofile", grade, what, &advice)
}

fn backlog() -> Finding {
    const WANTED: u64 = 4096;
    let limit = read("/proc/sys/net/core/somaxconn").and_then(|text| text.parse().ok()).unwrap_or(0u64);
    let grade = if limit >= WANTED { Grade::Fine } else { Grade::Poor };
    let advice =
        "set net.core.somaxconn to 4096 or more (sysctl), so that bursts of new connections are not refused";
    finding("backlog", grade, format!("net.core.somaxconn is {limit}"), advice)
}

fn cpu() -> Finding {
    let flags = read("/proc/cpuinfo").unwrap_or_default();
    let has = |flag: &str| {
        flags
            .lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split(' ').any(|each| each == flag))
    };
    let (grade, what) = match (has("ssse3"), has("avx2")) {
        (true, true) => (Grade::Fine, "x86-64 with AVX2"),
        (true, false) => (Grade::Poor, "x86-64 without AVX2"),
        _ => (Grade::Missing, "no SSSE3"),
    };
    finding(
        "cpu",
        grade,
        what.into(),
        "Hyperscan needs SSSE3 and is about twice as fast with AVX2: use another CPU type, or let the hypervisor pass these features on",
    )
}

fn cores() -> Finding {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    finding("cores", Grade::Fine, format!("{cores}, so `shards \"auto\"` means {cores}"), "")
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}
