//! The bounds of a head.

/// The most bytes of a head, request or response, with its start line and the empty line that ends it.
pub const HEAD_SIZE_MAX: usize = 16 * 1024;
/// The most header fields of a head.
pub const HEADERS_MAX: usize = 100;
/// The most bytes of a request target; RFC 9110 section 4.1 recommends that at least 8000 be supported.
pub const TARGET_SIZE_MAX: usize = 8 * 1024;
/// The most entries of each list that is interpreted: connection options, subprotocols, extensions, and the
/// parameters of one extension.
pub const LIST_SIZE_MAX: usize = 32;

const _: () = assert!(TARGET_SIZE_MAX < HEAD_SIZE_MAX);

/// The bounds of one head; the default is [`HEAD_SIZE_MAX`] and [`HEADERS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes, up to and with the empty line.
    pub size_max: usize,
    /// Header fields, without the start line.
    pub headers_max: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { size_max: HEAD_SIZE_MAX, headers_max: HEADERS_MAX }
    }
}
