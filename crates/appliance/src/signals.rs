//! Signals, taken by one thread that waits for them: no handler ever runs.

use std::{io, thread};

use nix::sys::signal::{SigSet, Signal};
use wsi_dataplane::Drainer;

/// The signals that are waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signals {
    set: SigSet,
}

impl Signals {
    /// Blocks them for this thread and all that it starts from now on: call it first.
    ///
    /// # Errors
    /// The kernel's.
    pub fn block() -> io::Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block()?;
        Ok(Self { set })
    }

    /// Drains at the first SIGTERM or SIGINT, and ends the process at the second. `on_drain` runs before the drain.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn drain_on(self, drainer: Drainer, on_drain: impl FnOnce() + Send + 'static) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut on_drain = Some(on_drain);
            loop {
                match self.set.wait() {
                    Ok(Signal::SIGHUP) => {
                        eprintln!("SIGHUP: reload is not built yet; restart to read the configuration again");
                    }
                    Ok(signal) => match on_drain.take() {
                        Some(on_drain) => {
                            eprintln!("{signal}: draining; once more ends at once");
                            on_drain();
                            drainer.drain();
                        }
                        None => std::process::exit(1),
                    },
                    // Only an invalid set is refused, and ours is not.
                    Err(_) => return,
                }
            }
        })?;
        Ok(())
    }
}
