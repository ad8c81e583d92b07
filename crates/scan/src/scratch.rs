//! Hyperscan's working memory.

use std::{
    fmt, mem,
    sync::{Arc, Weak},
};

use crate::{Database, ScanError, database::Identity};

/// Working memory of scans: one for each core, fitted to every database it is used with. It holds no state between
/// scans, and grows to what the largest database needs.
#[derive(Default)]
pub struct Scratch {
    engine: Option<hyperscan::Scratch>,
    /// The databases fitted to. Hyperscan itself checks only some of the sizes that matter. Weak, so that an address
    /// can't be reused while it is listed.
    fitted: Vec<Weak<Identity>>,
    /// Text under patterns with the flag `u`, when a copy had to be made; see `Database::scan`.
    pub(crate) text: Vec<u8>,
}

impl Scratch {
    /// Makes this scratch large enough for `database` beside those it already serves.
    ///
    /// # Errors
    /// When there is no memory. The scratch is then empty, and has to be fitted anew to all its databases.
    pub fn fit(&mut self, database: &Database) -> Result<(), ScanError> {
        if self.is_fitted(database) {
            return Ok(());
        }
        for engine in database.engines() {
            self.grow(engine)?;
        }
        self.fitted.retain(|identity| identity.strong_count() > 0);
        self.fitted.push(Arc::downgrade(database.identity()));
        Ok(())
    }

    /// The memory held for Hyperscan, in bytes.
    pub fn size_bytes(&self) -> usize {
        self.engine.as_ref().and_then(|engine| engine.size().ok()).unwrap_or(0)
    }

    pub(crate) fn is_fitted(&self, database: &Database) -> bool {
        let identity = Arc::as_ptr(database.identity());
        self.fitted.iter().any(|fitted| fitted.as_ptr() == identity)
    }

    /// `None` until fitted to a database with patterns.
    pub(crate) fn engine(&self) -> Option<&hyperscan::Scratch> {
        self.engine.as_ref()
    }

    fn grow(&mut self, database: &hyperscan::BlockDatabase) -> Result<(), ScanError> {
        let grown = match self.engine.take() {
            None => database.alloc_scratch(),
            Some(mut engine) => match database.realloc_scratch(&mut engine).map(|_| ()) {
                Ok(()) => Ok(engine),
                Err(error) => {
                    // On failure Hyperscan has freed the memory that the crate's handle still points to.
                    mem::forget(engine);
                    Err(error)
                }
            },
        };
        match grown {
            Ok(engine) => {
                self.engine = Some(engine);
                Ok(())
            }
            Err(error) => {
                self.fitted.clear();
                Err(ScanError::Engine(error.to_string()))
            }
        }
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch")
            .field("size_bytes", &self.size_bytes())
            .field("databases", &self.fitted.len())
            .finish_non_exhaustive()
    }
}
