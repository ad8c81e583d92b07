//! Bounds of a connection; every one has a safe default.

/// What one connection may cost. Sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A frame's payload; `None`: as large as a message may be.
    pub frame_size_max: Option<u64>,
    /// Memory for one message that is being put together, in each direction. Without a content filter's
    /// `max-message-size` it is also the largest message.
    pub message_size_max: u64,
    /// Larger messages are inspected as they come and leave in several fragments, where the rules permit it, and so need no more
    /// memory than this and some.
    pub held_size_max: u64,
    pub fragments_max: u32,
    /// Bytes that a byte of a compressed message may inflate to, on average, once it has become 64 KiB.
    pub inflate_ratio_max: u32,
    /// Pings and pongs that each endpoint may send, over time; twice as many at once.
    pub control_frames_per_second: u64,
    /// First fragment to FIN.
    pub message_timeout_ms: u64,
    /// How long bytes may wait for an endpoint that takes none of them.
    pub write_timeout_ms: u64,
    pub idle_timeout_s: u64,
    /// Nesting of objects and arrays.
    pub json_depth_max: u32,
    /// How many times over a text may be encoded and is still inspected.
    pub normalize_depth_max: u32,
}

impl Limits {
    pub const MESSAGE_SIZE_MAX_DEFAULT: u64 = 1 << 20;
    pub const HELD_SIZE_MAX_DEFAULT: u64 = 1 << 20;
    pub const FRAGMENTS_MAX_DEFAULT: u32 = 1024;
    pub const INFLATE_RATIO_MAX_DEFAULT: u32 = 100;
    pub const CONTROL_FRAMES_PER_SECOND_DEFAULT: u64 = 100;
    pub const MESSAGE_TIMEOUT_MS_DEFAULT: u64 = 30_000;
    pub const WRITE_TIMEOUT_MS_DEFAULT: u64 = 30_000;
    pub const IDLE_TIMEOUT_S_DEFAULT: u64 = 3_600;
    pub const JSON_DEPTH_MAX_DEFAULT: u32 = 64;
    pub const NORMALIZE_DEPTH_MAX_DEFAULT: u32 = 4;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_size_max: None,
            message_size_max: Self::MESSAGE_SIZE_MAX_DEFAULT,
            held_size_max: Self::HELD_SIZE_MAX_DEFAULT,
            fragments_max: Self::FRAGMENTS_MAX_DEFAULT,
            inflate_ratio_max: Self::INFLATE_RATIO_MAX_DEFAULT,
            control_frames_per_second: Self::CONTROL_FRAMES_PER_SECOND_DEFAULT,
            message_timeout_ms: Self::MESSAGE_TIMEOUT_MS_DEFAULT,
            write_timeout_ms: Self::WRITE_TIMEOUT_MS_DEFAULT,
            idle_timeout_s: Self::IDLE_TIMEOUT_S_DEFAULT,
            json_depth_max: Self::JSON_DEPTH_MAX_DEFAULT,
            normalize_depth_max: Self::NORMALIZE_DEPTH_MAX_DEFAULT,
        }
    }
}
