//! The stages of an inspection, each in a file. The pipeline calls them in order; nothing else may.

pub(crate) mod rate;
pub(crate) mod redact;
pub(crate) mod rewrite;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod state;
