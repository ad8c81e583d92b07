//! Pattern sets over Hyperscan, for whole texts and for texts that come in parts, built-in rule sets, and the undoing of what
//! hides a text from them.
//!
//! A [`Database`] is compiled once from a list of [`Pattern`]s, is immutable and is shared by all cores. Each core
//! owns one [`Scratch`], fitted to every database that it scans with. What a match means is the caller's business:
//! a [`MatchSink`] hears pattern ids and offsets.
//!
//! ```
//! use wsi_scan::{Database, Expression, Flow, Pattern, PatternId, Scratch};
//!
//! let pattern = Pattern { id: PatternId(7), expression: Expression::Literal(b"eval(".to_vec()) };
//! let database = Database::compile(&[pattern])?;
//! let mut scratch = Scratch::default();
//! scratch.fit(&database)?;
//!
//! let mut found = None;
//! database.scan(&mut scratch, b"x = eval(y)", &mut |id: PatternId, end: usize| {
//!     found = Some((id, end));
//!     Flow::Stop
//! })?;
//! assert_eq!(found, Some((PatternId(7), 9)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod builtin;
pub mod database;
pub mod error;
pub mod normalize;
pub mod pattern;
pub mod scratch;
pub mod sink;
mod spans;
pub mod stream;

pub use database::Database;
pub use error::{CompileError, FlagError, ScanError};
pub use normalize::{Kinds, Normalizer};
pub use pattern::{Expression, Pattern, PatternId, RegexFlags};
pub use scratch::Scratch;
pub use sink::{Flow, MatchSink};
pub use spans::SpanDatabase;
pub use stream::{Stream, StreamDatabase};
