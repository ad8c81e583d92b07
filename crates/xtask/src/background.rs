//! Processes that run beside a task, and the addresses that they are found at.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::run::Result;

/// A process that does not outlive its purpose.
pub(crate) struct Ended(pub(crate) Child);

impl Ended {
    /// Waits for the process to end by itself; an error if it failed, or did not end within `max`.
    pub(crate) fn finish(mut self, max: Duration) -> Result {
        let started = Instant::now();
        while started.elapsed() < max {
            match self.0.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(format!("failed ({status})").into()),
                None => thread::sleep(Duration::from_millis(50)),
            }
        }
        Err(format!("not finished after {} s", max.as_secs()).into())
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

pub(crate) fn wait_for(address: SocketAddr) -> Result {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if TcpStream::connect(address).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nothing listens on {address} after 20 s").into())
}
