//! The process of a relay: started on its CPU, waited for, ended.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Error;

const READY_TIMEOUT: Duration = Duration::from_secs(15);
const READY_POLL: Duration = Duration::from_millis(20);
/// How much of a relay's output an error shows, in bytes.
const LOG_TAIL: usize = 2000;

/// What to start.
#[derive(Debug)]
pub(super) struct Launch {
    pub binary: PathBuf,
    pub arguments: Vec<PathBuf>,
    /// Where it will listen.
    pub address: SocketAddr,
    /// Where its output goes.
    pub log: PathBuf,
}

/// A running relay; it is killed when dropped.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a relay on one CPU and waits until it accepts connections.
    pub fn start(name: &'static str, launch: &Launch, cpu: usize) -> Result<Self, Error> {
        if !launch.binary.is_file() {
            let path = launch.binary.display();
            return Err(Error::Options(format!(
                "{name}: there is no {path}; build or install it, or give another path"
            )));
        }
        let failed =
            || Error::io(format!("starting {name}"), "taskset and setpriv are needed (Debian: util-linux)");
        let log = File::create(&launch.log).map_err(failed())?;
        // taskset sets the CPU before the relay has threads; setpriv ends the relay with us, however we end.
        let child = Command::new("taskset")
            .args(["-c", &cpu.to_string(), "setpriv", "--pdeathsig", "KILL", "--"])
            .arg(&launch.binary)
            .args(&launch.arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed())?)
            .stderr(log)
            .spawn()
            .map_err(failed())?;
        let mut process = Self { name, child, log: launch.log.clone() };
        process.await_ready(launch.address)?;
        Ok(process)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An error about this relay, with the end of its output.
    pub fn failed(&self, what: &str) -> Error {
        let log = fs::read(&self.log).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        let log = String::from_utf8_lossy(tail).trim_end().to_owned();
        Error::Relay { name: self.name, what: what.to_owned(), log }
    }

    fn await_ready(&mut self, address: SocketAddr) -> Result<(), Error> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failed(&format!("ended at its start ({status})")));
            }
            if Instant::now() >= deadline {
                return Err(self.failed(&format!("does not listen on {address} after {READY_TIMEOUT:?}")));
            }
            thread::sleep(READY_POLL);
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails only if the process has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
