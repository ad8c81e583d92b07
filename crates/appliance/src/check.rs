//! `check`: everything that `run` would find wrong, without running.

use std::{error::Error, path::Path, process::ExitCode};

use crate::{plan::Plan, report};

/// Prints what the configuration amounts to.
///
/// # Errors
/// Every mistake of the file, or the first rule that can't be compiled.
pub(crate) fn check(path: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let plan = Plan::load(path)?;
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    println!("{}: valid", path.display());
    print!("{}", report::limits(&plan));
    if plan.serves_nothing() {
        println!(
            "  note       there is neither a listener nor a transport, so `run` would have nothing to serve"
        );
    }
    Ok(ExitCode::SUCCESS)
}
