//! `replay`: recorded traffic put to a policy, offline, and what it would have said; or to two policies, and where they differ.
//!
//! [`capture`] reads what was recorded, [`player`] plays it, [`connection`] finds messages in its frames (with a [`walker`]) and
//! takes each through its [`course`] under every configuration on [`trial`], and [`report`] tells. Time is the capture's, so rates
//! and timeouts act as they would have.

mod capture;
mod connection;
mod course;
mod ears;
mod opening;
mod player;
mod report;
mod tally;
#[cfg(test)]
mod tests;
mod trial;
mod verdict;
mod walker;

use std::{
    io::{self, BufWriter},
    path::PathBuf,
    process::ExitCode,
};

use self::{
    player::{Fault, Player},
    report::Report,
    trial::Trial,
};

/// How the command was called.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The configuration; a second one shows what it would change; without one, a policy with the three built-in rule sets
    #[arg(short, long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Recorded traffic, told apart by what is in it: HAR, JSON lines, pcap or pcapng
    #[arg(required = true, value_name = "CAPTURE")]
    captures: Vec<PathBuf>,
    /// The policy that everything comes under, instead of the one that its route leads to
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// Take a close for a drop, so that everything in a connection is judged
    #[arg(long)]
    go_on: bool,
    /// Tell also of what passes; with two configurations, also of what does not differ
    #[arg(long)]
    all: bool,
    /// JSON lines instead of text
    #[arg(long)]
    json: bool,
}

/// Exit code 0 when everything passed, or nothing differs; 1 when something did not; 2 for a mistake in a file, or in the call.
pub(crate) fn replay(options: &Options) -> ExitCode {
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::from(2)
        }
    }
}

/// Whether everything passed, or nothing differs.
fn run(options: &Options) -> Result<bool, Fault> {
    let trials = match options.config.as_slice() {
        [] => vec![Trial::load(None, options)?],
        [_] | [_, _] => {
            options.config.iter().map(|path| Trial::load(Some(path), options)).collect::<Result<_, _>>()?
        }
        _ => return Err("more than two configurations can't be compared; give one or two -c".into()),
    };
    let report = Report {
        out: Box::new(BufWriter::new(io::stdout().lock())),
        is_json: options.json,
        is_whole: options.all,
        capture: String::new(),
        base_ns: None,
    };
    let mut player = Player::new(trials, report);
    for path in &options.captures {
        capture::play(&mut player, path)?;
    }
    let (traffic, trials) = player.finish()?;
    Ok(match trials.as_slice() {
        [only] => !only.tally.stopped() && traffic.not_followed == 0,
        _ => traffic.differences == 0,
    })
}
