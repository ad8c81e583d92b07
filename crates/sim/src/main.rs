//! `sim`: plays seeds, one or many.

use std::{process::ExitCode, time::SystemTime};

use clap::Parser;

/// Plays connections in virtual time; a failure says its seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// The first seed; without it, one that has not been tried before
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds to play, from the first on
    #[arg(long, default_value_t = 1)]
    count: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(fresh_seed);
    for seed in seed..seed.saturating_add(arguments.count) {
        if let Err(error) = wsi_sim::world::run(seed) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    println!("{} connections from seed {seed}: all checks hold", arguments.count);
    ExitCode::SUCCESS
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64
}
