//! Hyperscan's own streams: how far the patterns have matched in each view.

use std::mem::ManuallyDrop;

use hyperscan::Matching;

use super::StreamDatabase;
use crate::{Flow, PatternId, ScanError};

/// The cursors of one text, over one database.
pub(super) struct Cursors {
    count_max: usize,
    /// The crate frees a stream only when it is closed, for which it wants the scratch.
    streams: Vec<ManuallyDrop<hyperscan::Stream>>,
    scratch: hyperscan::Scratch,
}

#[derive(Clone, Copy)]
pub(super) struct Cursor(usize);

/// Why there is no cursor.
pub(super) enum Fault {
    /// There are as many as there may be.
    Full,
    Engine(ScanError),
}

impl Cursors {
    /// With the cursor of the text itself.
    pub fn new(database: &StreamDatabase, count_max: usize) -> Result<(Self, Cursor), ScanError> {
        let scratch = database.engine.alloc_scratch().map_err(engine_fault)?;
        let mut cursors = Self { count_max, streams: Vec::new(), scratch };
        let first = cursors.add(database)?;
        Ok((cursors, first))
    }

    pub fn count(&self) -> usize {
        self.streams.len()
    }

    pub fn open(&mut self, database: &StreamDatabase) -> Result<Cursor, Fault> {
        if self.streams.len() >= self.count_max {
            return Err(Fault::Full);
        }
        Ok(self.add(database)?)
    }

    fn add(&mut self, database: &StreamDatabase) -> Result<Cursor, ScanError> {
        let stream = database.engine.open_stream().map_err(engine_fault)?;
        self.streams.push(ManuallyDrop::new(stream));
        Ok(Cursor(self.streams.len() - 1))
    }

    /// Another one that has seen what `cursor` has.
    pub fn fork(&mut self, database: &StreamDatabase, cursor: Cursor) -> Result<Cursor, Fault> {
        let fork = self.open(database)?;
        self.streams[fork.0]
            .reset_and_copy_stream(
                &self.streams[cursor.0],
                &self.scratch,
                |_: u32, _: u64, _: u64, _: u32| Matching::Continue,
            )
            .map_err(engine_fault)?;
        Ok(fork)
    }

    pub fn scan(
        &self,
        cursor: Cursor,
        bytes: &[u8],
        is_last: bool,
        mut sink: impl FnMut(PatternId) -> Flow,
    ) -> Result<Flow, ScanError> {
        let mut flow = Flow::Continue;
        let mut on_match = |id: u32, _: u64, _: u64, _: u32| {
            flow = sink(PatternId(id));
            if flow == Flow::Stop { Matching::Terminate } else { Matching::Continue }
        };
        let stream = &self.streams[cursor.0];
        let mut result = Ok(());
        if !bytes.is_empty() {
            result = stream.scan(bytes, &self.scratch, &mut on_match);
        }
        if is_last && result.is_ok() {
            // Matches at the very end are told when the stream ends.
            result = stream.reset(&self.scratch, &mut on_match);
        }
        match result {
            Ok(()) => Ok(flow),
            Err(hyperscan::Error::Hyperscan(hyperscan::HsError::ScanTerminated)) => Ok(Flow::Stop),
            Err(error) => Err(engine_fault(error)),
        }
    }
}

impl From<ScanError> for Fault {
    fn from(error: ScanError) -> Self {
        Self::Engine(error)
    }
}

impl Fault {
    /// `None`: that there are too many is no error but a finding.
    pub fn into_error(self) -> Option<ScanError> {
        match self {
            Self::Full => None,
            Self::Engine(error) => Some(error),
        }
    }
}

impl Drop for Cursors {
    fn drop(&mut self) {
        for stream in self.streams.drain(..) {
            let stream = ManuallyDrop::into_inner(stream);
            let _ = stream.close(&self.scratch, |_: u32, _: u64, _: u64, _: u32| Matching::Terminate);
        }
    }
}

fn engine_fault(error: hyperscan::Error) -> ScanError {
    ScanError::Engine(error.to_string())
}
