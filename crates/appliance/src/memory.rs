//! How much memory there is for traffic, where the configuration does not say.

use std::{fs, path::Path};

/// Of the memory that this process may have, for messages on their way: the rest is for idle connections, engines and, outside
/// of the process, the kernel's buffers of the same connections.
const DIVISOR: u64 = 2;
/// Where nothing says how much there is, in bytes.
const FALLBACK: u64 = 1 << 30;

/// `runtime { max-memory }`, or half of what the machine or the control group has, in bytes.
pub(crate) fn memory_max(configured: Option<u64>) -> u64 {
    configured.unwrap_or_else(|| available().map_or(FALLBACK, |size| size / DIVISOR))
}

/// The least of the machine's memory and of the limits of the control groups around this process, in bytes.
fn available() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(groups.lines().filter_map(group_limit)).min()
}

/// MemTotal of /proc/meminfo (proc(5)).
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The least limit of a group and of those around it; `line` is one of /proc/self/cgroup (cgroups(7)).
fn group_limit(line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (root, file) = if controllers.is_empty() {
        ("/sys/fs/cgroup", "memory.max")
    } else if controllers.split(',').any(|each| each == "memory") {
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
    } else {
        return None;
    };
    Path::new(path.trim_start_matches('/'))
        .ancestors()
        // "max", or a group that can't be seen from in here, is no limit.
        .filter_map(|group| {
            fs::read_to_string(Path::new(root).join(group).join(file)).ok()?.trim().parse().ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_holds() {
        assert_eq!(memory_max(Some(7)), 7);
    }

    #[test]
    fn this_machine_tells() {
        let machine = total(&fs::read_to_string("/proc/meminfo").unwrap()).unwrap();
        let max = memory_max(None);
        assert!((1 << 20..=machine / DIVISOR).contains(&max), "{max} of {machine}");
    }

    #[test]
    fn lines_of_proc() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       16384 kB\n"), Some(16 << 20));
        assert_eq!(total("MemTotal: many"), None);
        assert_eq!(group_limit("5:cpu,cpuacct:/"), None);
        assert_eq!(group_limit("nonsense"), None);
    }
}
