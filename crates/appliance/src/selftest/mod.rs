//! `selftest`: attacks on the policies of a configuration, in process and without sockets, and what each policy stopped.
//!
//! [`suite`] chooses the attacks from `attacks/`, [`runner`] puts a [`relay`] to them, [`trial`] judges by what the
//! [`receiver`] makes of the bytes that leave, and [`report`] tells.

mod attacks;
mod deflate;
pub(crate) mod frames;
mod handshake;
mod receiver;
mod relay;
mod report;
mod runner;
mod sample;
mod suite;
#[cfg(test)]
mod tests;
mod trial;

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use wsi_config::{ConfigError, Configuration, policy::Policy};

use crate::plan::Plan;

use self::{
    report::Report,
    runner::Findings,
    suite::{Suite, WHOLE},
};

/// What is tried where the user has no configuration yet.
const BUILT_IN: &str = r#"
agent "built-in" {
    type "websocket_inspector"
    handshake { compression "inspect" }
    content-filter { rules "xss" "sqli" "command-injection" }
}
"#;

/// How the command was called.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// The configuration whose policies are tried; without one, a policy with the three built-in rule sets
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON document instead of tables
    #[arg(long, conflicts_with = "verbose")]
    json: bool,
    /// List every attack
    #[arg(short, long)]
    verbose: bool,
    /// Write the attacks on open connections as JSON lines, for sending them by other means, and try none
    #[arg(long, conflicts_with_all = ["json", "verbose"])]
    emit: bool,
}

/// Exit code 0 when nothing slipped, 1 when something did, 2 for a configuration with mistakes.
///
/// # Errors
/// What keeps an engine from being made, or the output from being written.
pub(crate) fn selftest(options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let policies = match policies(options.config.as_deref()) {
        Ok(policies) => policies,
        Err(error) => {
            eprintln!("{error}");
            return Ok(ExitCode::from(2));
        }
    };
    if options.emit {
        return emit(&policies);
    }
    let mut reports = Vec::new();
    for policy in &policies {
        let suite = Suite::of(policy)?;
        let findings = Findings::of(policy, &suite, &runner::product)?;
        reports.push(Report::new(policy, suite, findings));
    }
    let holds = reports.iter().all(Report::holds);
    let out = if options.json { json(&reports) } else { text(&reports, options.verbose) };
    io::stdout().write_all(out.as_bytes())?;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The file, or a policy with the three built-in rule sets.
pub(crate) fn configuration(path: Option<&Path>) -> Result<Configuration, ConfigError> {
    match path {
        Some(path) => wsi_config::load(path),
        None => wsi_config::parse("built-in", BUILT_IN, Path::new("")),
    }
}

/// The policies of the file, which is read and compiled as `check` does it.
fn policies(path: Option<&Path>) -> Result<Vec<Policy>, Box<dyn Error>> {
    let configuration = configuration(path)?;
    let policies = configuration.ruleset.policies.clone();
    Plan::of(configuration)?;
    if policies.is_empty() {
        return Err("the configuration has no agent, so there is no policy to try".into());
    }
    Ok(policies)
}

fn emit(policies: &[Policy]) -> Result<ExitCode, Box<dyn Error>> {
    let mut out = io::stdout().lock();
    for policy in policies {
        for trial in Suite::of(policy)?.trials {
            if trial.engines.contains(&WHOLE) && trial.not_claimed.is_none() {
                writeln!(out, "{}", report::emitted(&policy.name, &trial.variant))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json(reports: &[Report]) -> String {
    let policies: Vec<_> = reports.iter().map(Report::json).collect();
    let holds = reports.iter().all(Report::holds);
    format!("{:#}\n", serde_json::json!({ "holds": holds, "policies": policies }))
}

fn text(reports: &[Report], verbose: bool) -> String {
    let tables: Vec<_> = reports.iter().map(|report| report.text(verbose)).collect();
    let slipped: usize = reports.iter().map(|report| report.findings.slipped()).sum();
    let wrong: usize = reports.iter().map(|report| report.findings.wrong()).sum();
    let verdict = match (slipped, wrong) {
        (0, 0) => "Nothing slipped.".to_owned(),
        (0, wrong) => format!("Nothing slipped, but {wrong} did not end as they should."),
        (slipped, 0) => format!("{slipped} slipped."),
        (slipped, wrong) => format!("{slipped} slipped, and {wrong} did not end as they should."),
    };
    format!("{}\n{verdict}\n", tables.join("\n"))
}
