//! Lines on their way out, and what becomes of them when the disk is full.

use std::io;

use super::{
    chain::{Chain, Checkpoints},
    encode::encode,
    record::Record,
};
use crate::{Counter, Names};

/// Lines are written together from this size on, in bytes.
const BATCH_SIZE: usize = 64 << 10;

/// What the audit thread counts; for the metrics.
#[derive(Debug, Default)]
pub struct Counts {
    pub written: Counter,
    /// Records that could not be written.
    pub lost: Counter,
}

type FailureReport = Box<dyn FnMut(&io::Error) + Send>;

/// The sink and the lines that wait for it.
pub(crate) struct Output {
    sink: Box<dyn io::Write + Send>,
    batch: Vec<u8>,
    chain: Option<(Chain, Checkpoints)>,
    /// Lines in `batch`.
    lines: u64,
    /// The sink took a part of a line and failed: the next line must not continue it.
    is_torn: bool,
    is_failing: bool,
    report: FailureReport,
}

impl Output {
    pub fn new(sink: Box<dyn io::Write + Send>) -> Self {
        Self {
            sink,
            batch: Vec::with_capacity(BATCH_SIZE),
            chain: None,
            lines: 0,
            is_torn: false,
            is_failing: false,
            report: Box::new(|_| {}),
        }
    }

    pub fn set_failure_report(&mut self, report: FailureReport) {
        self.report = report;
    }

    pub fn set_chain(&mut self, chain: Chain, checkpoints: Checkpoints) {
        self.chain = Some((chain, checkpoints));
    }

    pub fn push(&mut self, record: &Record, names: &Names, counts: &Counts) {
        let start = self.batch.len();
        encode(record, names, &mut self.batch);
        if let Some((chain, _)) = &mut self.chain {
            chain.seal(&mut self.batch, start);
        }
        self.lines += 1;
        if self.batch.len() >= BATCH_SIZE {
            self.flush(counts);
        }
    }

    /// Writes what waits. What can't be written is lost, counted, and told once until writing works again.
    pub fn flush(&mut self, counts: &Counts) {
        if self.batch.is_empty() {
            return;
        }
        let (written, result) = self.write_batch();
        counts.written.add(written);
        counts.lost.add(self.lines - written);
        self.batch.clear();
        self.lines = 0;
        if let Err(error) = &result
            && !self.is_failing
        {
            (self.report)(error);
        }
        self.is_failing = result.is_err();
        self.note(false);
    }

    /// Notes where the chain has come to.
    pub fn note(&mut self, is_last: bool) {
        if let Some((chain, checkpoints)) = &mut self.chain {
            checkpoints.note(chain, is_last);
        }
    }

    /// How many lines were written whole.
    fn write_batch(&mut self) -> (u64, io::Result<()>) {
        if self.is_torn
            && let (_, Err(error)) = write_all(&mut self.sink, b"\n")
        {
            return (0, Err(error));
        }
        let (size, result) = write_all(&mut self.sink, &self.batch);
        let written = &self.batch[..size];
        self.is_torn = written.last().is_some_and(|last| *last != b'\n');
        // A line holds no other line end: all are escaped.
        let lines = written.iter().filter(|byte| **byte == b'\n').count() as u64;
        (lines, result.and_then(|()| self.sink.flush()))
    }
}

/// [`io::Write::write_all`] that tells how much was written before an error.
fn write_all(sink: &mut dyn io::Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(size) => written += size,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
