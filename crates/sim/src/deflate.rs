//! permessage-deflate of the peers (RFC 7692 section 7.2), by zlib itself, which the product does not use.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use wsi_ws::deflate::Flow;

/// The end of every flushed stream, which a sender leaves out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Far above any message here.
const SIZE_MAX: usize = 64 << 10;

/// What a peer compresses.
#[derive(Debug)]
pub struct Deflater {
    stream: Compress,
    forgets: bool,
}

impl Deflater {
    pub fn new(flow: Flow) -> Self {
        let window_bits = flow.window_bits.unwrap_or(15).max(9);
        let stream = Compress::new_with_window_bits(Compression::new(6), false, window_bits);
        Self { stream, forgets: flow.no_context_takeover }
    }

    /// The compressed payload of one message.
    pub fn deflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 64);
        // With room for all of it, only a broken zlib could fail: the reader would notice.
        let _ = self.stream.compress_vec(payload, &mut out, FlushCompress::Sync);
        out.truncate(out.len().saturating_sub(TAIL.len()));
        if self.forgets {
            self.stream.reset();
        }
        out
    }
}

/// What a peer inflates, with the window that was agreed on and no more.
#[derive(Debug)]
pub struct Inflater {
    stream: Decompress,
    forgets: bool,
}

impl Inflater {
    pub fn new(flow: Flow) -> Self {
        let window_bits = flow.window_bits.unwrap_or(15).max(9);
        let stream = Decompress::new_with_window_bits(false, window_bits);
        Self { stream, forgets: flow.no_context_takeover }
    }

    /// The payload of one compressed message.
    ///
    /// # Errors
    /// What zlib says, as when it refers to more than the window holds.
    pub fn inflate(&mut self, compressed: &[u8]) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(SIZE_MAX);
        let whole = [compressed, &TAIL].concat();
        self.stream
            .decompress_vec(&whole, &mut out, FlushDecompress::Sync)
            .map_err(|error| format!("what arrives compressed is not deflate: {error}"))?;
        if out.len() == SIZE_MAX {
            return Err("what arrives compressed has no end".into());
        }
        if self.forgets {
            self.stream.reset(false);
        }
        Ok(out)
    }
}
