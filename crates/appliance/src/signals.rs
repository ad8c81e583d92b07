//! Signals, taken by one thread that waits for them: no handler ever runs.

use std::{io, thread};

use nix::sys::signal::{SigSet, Signal};

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

    /// Takes them on a thread of its own: SIGHUP reloads, the first SIGTERM or SIGINT drains, and the second ends the process. Once
    /// it drains, nothing is reloaded.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn serve(
        self,
        mut on_reload: impl FnMut() + Send + 'static,
        on_drain: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        thread::Builder::new().name("signals".into()).spawn(move || {
            let mut on_drain = Some(on_drain);
            loop {
                match self.set.wait() {
                    Ok(Signal::SIGHUP) if on_drain.is_some() => on_reload(),
                    Ok(Signal::SIGHUP) => {}
                    Ok(signal) => match on_drain.take() {
                        Some(on_drain) => {
                            eprintln!("{signal}: draining; once more ends at once");
                            on_drain();
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
