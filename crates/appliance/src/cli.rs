//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{replay, selftest, top};

/// Inspects WebSocket traffic, frame by frame and message by message, in both directions.
#[derive(Debug, Parser)]
#[command(name = "websocket-inspector", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Inspect and relay, until SIGTERM drains it
    Run {
        /// The configuration, a KDL file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Say whether a configuration is valid: exit code 0, or 1 and every mistake
    Check {
        /// The configuration, a KDL file
        #[arg(short, long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Look after audit files
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show it at work: an echo server, the inspector before it, and a few good and bad messages
    Demo {
        /// End after the messages instead of staying up
        #[arg(long)]
        once: bool,
    },
    /// Watch a running inspector in the terminal: traffic, rules, times, connections
    Top(top::Options),
    /// Say what this machine lacks, and what to do about it
    Doctor {
        /// A configuration whose needs are to be met
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Attack the policies of a configuration, in process, and say what they stopped: exit code 0 if all, 1 if not, 2 and
    /// every mistake if the configuration is not valid
    Selftest(selftest::Options),
    /// Put recorded traffic to a policy, offline: exit code 0 if all of it passes, 1 if not, 2 for a mistake in a file; with two
    /// configurations, tell what differs: exit code 0 if nothing, 1 if something
    Replay(replay::Options),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Say whether any line of a chained audit stream was changed, removed or added: exit code 0, or 1 and the first that was
    Verify {
        /// The files of one stream, the oldest first; those called .gz are compressed
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}
