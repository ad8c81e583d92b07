//! What the machine allows this process: descriptors and CPUs.

use std::{fs, io};

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_setaffinity},
};

use crate::Error;

/// For epoll, pipes and files that are opened beside the connections.
const DESCRIPTORS_RESERVED: usize = 16;

/// Raises the soft limit on descriptors to the hard one, and checks that `connections` more can be opened.
///
/// # Errors
/// [`Error::Descriptors`] with the number that is possible.
pub(crate) fn reserve_descriptors(connections: usize) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where the kernel refuses, the soft limit stays and is what counts below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    let Some(limit) = getrlimit(Resource::Nofile).current else { return Ok(()) };
    let open = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let available = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(open + DESCRIPTORS_RESERVED);
    if connections > available { Err(Error::Descriptors { needed: connections, available }) } else { Ok(()) }
}

/// Pins the calling thread, and what it starts from now on, to one CPU.
///
/// # Errors
/// When this process may not run on that CPU, or there is no such CPU.
pub fn pin_thread(cpu: usize) -> Result<(), Error> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        return Err(Error::Options(format!("there is no CPU {cpu}; `nproc` says how many there are")));
    }
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(io::Error::from).map_err(Error::io(
        format!("pinning to CPU {cpu}"),
        "choose a CPU of `nproc` that this process may use (taskset -p $$)",
    ))
}
