//! What a peer may make us hold.

/// Bounds of one direction of one connection. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    pub frame_size_max: u64,
    pub message_size_max: u64,
    pub fragments_max: u32,
    /// Bytes that one byte of a compressed message may inflate to, on average over the message so far (RFC 7692).
    pub inflate_ratio_max: u32,
}

impl WireLimits {
    /// Below this size a message may inflate at any ratio: a short repetitive text is no bomb.
    pub const INFLATE_RATIO_FLOOR: u64 = 64 << 10;

    /// `size_max` for bytes on the wire. What does not compress grows by a little, so that compressed messages have room for it.
    #[inline]
    pub(crate) const fn on_wire(size_max: u64, is_compressed: bool) -> u64 {
        if is_compressed { size_max.saturating_add(size_max / 4).saturating_add(64) } else { size_max }
    }
}
