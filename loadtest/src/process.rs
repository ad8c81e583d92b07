//! What `/proc` says of a process: its CPU time and its memory.

use std::{fs, io, time::Duration};

use crate::Error;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// `VmRSS`: resident pages, files and shared memory included.
    pub rss: u64,
    /// `RssAnon`: resident pages of its own.
    pub anonymous: u64,
}

/// CPU time that all live threads of a process have used.
///
/// Read from `/proc/PID/task/*/schedstat` in nanoseconds; where the kernel has no such file, `/proc/PID/stat` in
/// clock ticks. With the former, the time of a thread that has ended is not in the sum any more.
///
/// # Errors
/// [`Error::Process`] when there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration, Error> {
    match sum_of_threads(pid) {
        Ok(Some(total)) => Ok(total),
        Ok(None) => cpu_time_in_ticks(pid),
        Err(error) => Err(Error::Process { pid, what: format!("its CPU time can't be read ({error})") }),
    }
}

/// Memory of a process now.
///
/// # Errors
/// [`Error::Process`] when there is no such process.
pub fn memory(pid: u32) -> Result<Memory, Error> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"));
    let fail = |what: String| Error::Process { pid, what };
    let status = status.map_err(|error| fail(format!("its memory can't be read ({error})")))?;
    parse_status(&status).ok_or_else(|| fail("its memory can't be read (has it ended?)".to_owned()))
}

/// `None`: this kernel has no schedstat.
fn sum_of_threads(pid: u32) -> io::Result<Option<Duration>> {
    let mut total_ns = None;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        if let Some(own_ns) = parse_schedstat(&text) {
            total_ns = Some(total_ns.unwrap_or(0) + own_ns);
        }
    }
    Ok(total_ns.map(Duration::from_nanos))
}

fn cpu_time_in_ticks(pid: u32) -> Result<Duration, Error> {
    let ticks = fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parse_stat);
    let ticks = ticks.ok_or_else(|| Error::Process { pid, what: "its CPU time can't be read".to_owned() })?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100))
}

/// "on-CPU ns, waiting ns, timeslices"
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// utime + stime, fields 14 and 15 (proc_pid_stat(5)). The name in field 2 may hold blanks and parentheses.
fn parse_stat(text: &str) -> Option<u64> {
    let mut fields = text[text.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_status(text: &str) -> Option<Memory> {
    let kib = |name: &str| -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory { rss: kib("VmRSS")? * 1024, anonymous: kib("RssAnon")? * 1024 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat() {
        assert_eq!(parse_schedstat("749233 3907290 2\n"), Some(749_233));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn stat_with_a_nasty_name() {
        let text = "7 (a) b (c) 1) S 1 7 7 0 -1 4194560 1 0 0 0 250 31 0 0 20 0 1 0 99 1 1";
        assert_eq!(parse_stat(text), Some(281));
        assert_eq!(parse_stat("7 (a) S 1"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn status() {
        let text = "Name:\tx\nVmHWM:\t   9 kB\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\nRssFile:\t 5 kB\n";
        assert_eq!(parse_status(text), Some(Memory { rss: 2 << 20, anonymous: 1 << 20 }));
        assert_eq!(parse_status("Name:\tzombie\n"), None);
    }

    #[test]
    fn this_process() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let mut sum = 0u64;
        while cpu_time(pid).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(memory(pid).unwrap().rss >= memory(pid).unwrap().anonymous);
        assert!(matches!(cpu_time(u32::MAX), Err(Error::Process { .. })));
        assert!(matches!(memory(u32::MAX), Err(Error::Process { .. })));
    }
}
