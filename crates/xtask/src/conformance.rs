//! `cargo xtask conformance`: the Autobahn test suite through the inspector, on both legs.

mod expected;
mod legs;
mod suite;

use clap::{Args, ValueEnum};

use self::{expected::Expected, legs::Legs};
use crate::{demo::build_release, run::Result, setup};

/// What needs no compression and takes seconds.
const CASES: &str = "1.*,2.*,3.*,4.*,5.*,6.*,7.*,10.*";

/// Enough for the above and for 9.*, which take seconds and a minute. The suite bounds each case by itself.
const LEG_MAX_S: u64 = 900;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Cases by number, with `*` for any rest: 9.* are limits, 12.* and 13.* compression
    #[arg(long, value_delimiter = ',', default_value = CASES)]
    cases: Vec<String>,
    /// What the inspector does about permessage-deflate
    #[arg(long, value_enum, default_value_t = Compression::Strip)]
    compression: Compression,
    /// End a leg that takes longer
    #[arg(long, default_value_t = LEG_MAX_S)]
    leg_max_s: u64,
    /// Take the results for what is expected from now on
    #[arg(long)]
    bless: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Compression {
    Strip,
    Inspect,
}

impl Default for Options {
    fn default() -> Self {
        let cases = CASES.split(',').map(str::to_owned).collect();
        Self { cases, compression: Compression::Strip, leg_max_s: LEG_MAX_S, bless: false }
    }
}

pub(crate) fn conformance(options: &Options) -> Result {
    setup::for_tests()?;
    let suite = suite::install()?;
    build_release()?;
    let legs = Legs::start(&suite, options)?;
    // The server leg first: it notices if no case is meant, where the suite as a client would wait for ever.
    let server = legs.server()?;
    let results = [("client", legs.client()?), ("server", server)];
    let mut expected = Expected::read()?;
    if options.bless {
        for (leg, results) in &results {
            expected.bless(leg, results);
        }
        expected.write()?;
    }
    for (leg, results) in &results {
        println!("{leg} leg: {}", expected::summary(results));
    }
    let differences: Vec<_> = results
        .iter()
        .flat_map(|(leg, results)| expected.differences(leg, results, &options.cases))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    println!("{}", expected::table(&differences));
    Err(format!(
        "{} results are not as expected; reports and logs are in {}",
        differences.len(),
        legs.directory().display()
    )
    .into())
}
