//! `top`: a running inspector at a glance, in a terminal. It asks the admin server, as the live page does.

mod fetch;
mod sample;
mod screen;

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use clap::Args;

use self::{fetch::Fetcher, sample::Sample};

/// Moves to the upper left corner and clears what is below.
const CLEAR: &str = "\x1b[H\x1b[2J";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Its configuration, which says where `admin` listens
    #[arg(short, long, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Where its `admin` listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9600")]
    admin: SocketAddr,
    /// Seconds that rates are taken over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval_s: u64,
    /// Print once, and end
    #[arg(long)]
    once: bool,
}

/// # Errors
/// Nobody answers there, or it is no inspector.
pub(crate) fn top(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let mut fetcher = Fetcher::new(address(options)?)?;
    let interval = Duration::from_secs(options.interval_s);
    let mut before = (Instant::now(), Sample::take(&mut fetcher)?);
    loop {
        thread::sleep(interval);
        let sample = Sample::take(&mut fetcher)?;
        let now = Instant::now();
        let text = screen::render(&before.1, &sample, now.duration_since(before.0), fetcher.address());
        let clear = if options.once || !io::stdout().is_terminal() { "" } else { CLEAR };
        let mut out = io::stdout().lock();
        // Whoever reads it may have gone: `top | head`.
        if write!(out, "{clear}{text}").and_then(|()| out.flush()).is_err() || options.once {
            return Ok(ExitCode::SUCCESS);
        }
        before = (now, sample);
    }
}

fn address(options: &Options) -> Result<SocketAddr, Box<dyn Error>> {
    let Some(path) = &options.config else { return Ok(options.admin) };
    let admin = wsi_config::load(path)?.settings.admin;
    Ok(admin.ok_or("the configuration has no `admin`, so nobody can be asked")?.bind)
}
