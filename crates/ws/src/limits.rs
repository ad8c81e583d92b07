//! What a peer may make us hold.

/// Bounds of one direction of one connection. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireLimits {
    pub frame_size_max: u64,
    pub message_size_max: u64,
    pub fragments_max: u32,
}
