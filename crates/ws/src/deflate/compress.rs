//! Plain payload to compressed payload (RFC 7692 section 7.2.1).

use std::fmt;

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush};

use super::{Flow, TAIL};

/// Where more effort begins to cost more than the bytes that it saves.
const LEVEL: i32 = 2;
/// A sender may use less of its window than it may: 8 KiB hold many messages, and 32 would double the memory.
const WINDOW_BITS_MAX: u8 = 13;
/// zlib's `memLevel`: blocks of up to 4096 symbols.
const MEM_LEVEL: i32 = 6;
/// The most output that is made room for at once, in bytes.
const ROOM_SIZE_MAX: usize = 64 << 10;

/// Compresses messages for one endpoint. It may be dropped between any two messages: the next one only begins without a past.
pub struct Compressor {
    stream: Deflate,
    flow: Flow,
}

impl Compressor {
    /// The most memory of one compressor, in bytes: in zlib-rs a hash table of 128 KiB, four times the window, and 16 KiB of output.
    pub const SIZE_MAX: u64 = 192 << 10;

    /// Whether there is a compressor for `flow`: deflate can't be made with a window of 256 bytes, and such an endpoint is
    /// sent plain messages.
    pub fn supports(flow: Flow) -> bool {
        flow.window_bits != Some(8)
    }

    /// A compressor for what is to be sent as `flow` says, one that [`Compressor::supports`].
    pub fn new(flow: Flow) -> Self {
        Self { stream: stream(flow), flow }
    }

    /// Appends a message's compressed payload to `out`. `false`: it would not be smaller, so that the message is to be sent
    /// plain; `out` is as it was.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        let is_whole = self.append(payload, out);
        let is_smaller = is_whole && out.len() - start < payload.len();
        if !is_smaller {
            out.truncate(start);
        }
        if !is_whole {
            // Not reset: a stream that has not given all its output keeps the room of it for ever, and in the end panics or spins
            // (zlib-rs 0.6.8).
            self.stream = stream(self.flow);
        } else if !is_smaller || self.flow.no_context_takeover {
            // What the peer does not get can't be referred back to.
            self.stream.reset();
        }
        is_smaller
    }

    /// Whether all of the message was compressed and all output was taken; the tail is left out.
    fn append(&mut self, mut payload: &[u8], out: &mut Vec<u8>) -> bool {
        let start = out.len();
        // What does not compress is stored, in blocks of a few KiB with 5 bytes each.
        let end_max = start + payload.len() + payload.len() / 512 + 64;
        loop {
            let (before, at) = ((self.stream.total_in(), self.stream.total_out()), out.len());
            let room = ROOM_SIZE_MAX.min(end_max - at);
            out.resize(at + room, 0);
            let status = self.stream.compress(payload, &mut out[at..], DeflateFlush::SyncFlush);
            // Both are sizes of slices.
            let taken = (self.stream.total_in() - before.0) as usize;
            let given = (self.stream.total_out() - before.1) as usize;
            out.truncate(at + given);
            payload = &payload[taken..];
            if status.is_err() || room == 0 {
                return false;
            }
            if given < room {
                break;
            }
        }
        let is_whole = payload.is_empty() && out[start..].ends_with(&TAIL);
        if is_whole {
            out.truncate(out.len() - TAIL.len());
        }
        is_whole
    }
}

fn stream(flow: Flow) -> Deflate {
    let window_bits = flow.window_bits.unwrap_or(WINDOW_BITS_MAX).clamp(9, WINDOW_BITS_MAX);
    Deflate::new_with_config(DeflateConfig {
        level: LEVEL,
        // Negative: without zlib's header.
        window_bits: -i32::from(window_bits),
        mem_level: MEM_LEVEL,
        ..DeflateConfig::default()
    })
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
