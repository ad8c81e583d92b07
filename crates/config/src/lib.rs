//! Configuration: KDL v2 text to a [`Ruleset`] and [`Settings`], with every mistake shown at its line and column.
//!
//! The way of a file: `syntax` undoes the two tolerances and parses, `grammar` checks names and counts against one
//! table, and one module a block (`runtime`, `listener`, `upstream`, `agent`, `outlets`) reads the values.

mod agent;
mod diagnostics;
mod document;
mod file;
mod grammar;
mod listener;
mod names;
mod outlets;
mod pushed;
mod runtime;
mod settings;
mod size;
mod source;
mod syntax;
mod upstream;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use wsi_policy::Ruleset;

pub use crate::agent::KNOWN_RULE_SETS;
pub use crate::diagnostics::{ConfigError, Mistake, Places, Warning};
/// The rules that a configuration is read into.
pub use wsi_policy as policy;

pub use crate::settings::{
    Admin, Audit, ClientTls, Listener, Payload, Runtime, Server, ServerTls, Settings, Shards, Upstream,
};

pub use crate::pushed::{PushError, Template};

use crate::diagnostics::Findings;
use crate::document::Block;
use crate::source::Source;

/// The largest configuration file, in bytes.
pub const FILE_SIZE_MAX: u64 = 4 << 20;

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Configuration {
    pub settings: Settings,
    /// `ruleset.routes[i]` are the routes of `settings.listeners[i]`.
    pub ruleset: Ruleset,
    /// What is allowed but deserves a look.
    pub warnings: Vec<Warning>,
    pub places: Places,
    /// By policy: what a proxy may add to, for those that proxies reach.
    pub templates: Vec<Option<Template>>,
}

/// Reads and checks the file at `path`.
///
/// A relative `schema-path` in it is looked for in the current directory first and then in the file's own folder.
/// Paths of files that are written (`audit`, `transport`) stay as they are.
///
/// # Errors
/// [`ConfigError`] with every mistake, also when the file can't be read, is not UTF-8, or is larger than
/// [`FILE_SIZE_MAX`].
pub fn load(path: &Path) -> Result<Configuration, ConfigError> {
    let name = path.display().to_string();
    let bytes = read_bounded(path).map_err(|error| {
        let help = "check the path and that the file may be read";
        ConfigError::of_file(format!("{name}: the configuration can't be read: {error}"), help)
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&error.as_bytes()[..at]).into_owned();
        let (line, column) = Source::new(&name, &valid).position(at);
        let help = "save the file as UTF-8";
        ConfigError::of_file(format!("{name}:{line}:{column}: the configuration is not UTF-8 text"), help)
    })?;
    parse(&name, &text, path.parent().unwrap_or(Path::new("")))
}

/// Checks `text`; `name` stands for the file in messages, and `base` is the folder where relative paths are looked
/// for when the current directory doesn't have them. No file is opened; schema files are only looked for, and host
/// names of servers are resolved.
///
/// # Errors
/// [`ConfigError`] with every mistake; mistakes of syntax come alone, because nothing after them can be trusted.
pub fn parse(name: &str, text: &str, base: &Path) -> Result<Configuration, ConfigError> {
    if text.len() as u64 > FILE_SIZE_MAX {
        return Err(too_large(name));
    }
    let mut findings = Findings::new(Source::new(name, text));
    let Some(document) = syntax::parse(text, &mut findings) else {
        return Err(findings.into_error());
    };
    grammar::check(&document, &mut findings);
    let root = Block::of_document(&document);
    let policies = agent::read_all(root, base, &mut findings);
    let upstreams = upstream::read_all(root, base, &mut findings);
    let (listeners, routes) = listener::read_all(root, base, &mut findings);
    let settings = Settings {
        runtime: runtime::read(root, &mut findings),
        listeners,
        upstreams,
        audit: outlets::read_audit(root, &mut findings),
        admin: outlets::read_admin(root, base, &mut findings),
    };
    let (warnings, places) = findings.into_warnings()?;
    let templates = Template::of_all(&document, &policies, base);
    Ok(Configuration { settings, ruleset: Ruleset { policies, routes }, warnings, places, templates })
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed, so that `parse` sees that the file is too large.
    File::open(path)?.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn too_large(name: &str) -> ConfigError {
    let help = "split what it holds, or move schemas into files of their own";
    ConfigError::of_file(
        format!("{name}: the configuration is larger than {} MiB", FILE_SIZE_MAX >> 20),
        help,
    )
}
