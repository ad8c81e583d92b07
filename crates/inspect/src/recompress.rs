//! Compression towards one endpoint (RFC 7692): which messages leave compressed, and the memory that it takes.

use wsi_ws::{
    HEADER_SIZE_MAX,
    deflate::{Compressor, Flow},
};

/// Smaller messages leave plain: there is little to save on them.
const MESSAGE_SIZE_MIN: usize = 64;

/// What leaves towards an endpoint that understands compressed messages.
///
/// The sender chooses message by message, and its choice is kept; if it can't compress, every message is. What is small or would
/// not become smaller leaves plain.
#[derive(Debug)]
pub(crate) struct Recompressor {
    flow: Flow,
    sender_can: bool,
    /// Since the first message, or the first one after [`Recompressor::release`].
    compressor: Option<Compressor>,
}

impl Recompressor {
    /// `flow` says how the endpoint wants it, `sender_can` whether the other endpoint may compress what it sends. `None`: it can't
    /// be done as the endpoint wants it.
    pub fn new(flow: Flow, sender_can: bool) -> Option<Self> {
        Compressor::supports(flow).then_some(Self { flow, sender_can, compressor: None })
    }

    /// The compressed payload behind room for a header, in the buffer that `spare` gives. `None`: the message leaves plain.
    pub fn compress(
        &mut self,
        payload: &[u8],
        was_compressed: bool,
        spare: impl FnOnce() -> Vec<u8>,
    ) -> Option<Vec<u8>> {
        if payload.len() < MESSAGE_SIZE_MIN || (self.sender_can && !was_compressed) {
            return None;
        }
        let compressor = self.compressor.get_or_insert_with(|| Compressor::new(self.flow));
        let mut buffer = spare();
        buffer.clear();
        buffer.resize(HEADER_SIZE_MAX, 0);
        compressor.compress(payload, &mut buffer).then_some(buffer)
    }

    /// Whether there is memory to release.
    pub fn is_held(&self) -> bool {
        self.compressor.is_some()
    }

    /// The memory that is held, in bytes.
    pub fn memory_size(&self) -> u64 {
        self.compressor.as_ref().map_or(0, |_| Compressor::SIZE_MAX)
    }

    /// Gives back the compressor's memory; the next message begins without a past.
    pub fn release(&mut self) {
        self.compressor = None;
    }
}
