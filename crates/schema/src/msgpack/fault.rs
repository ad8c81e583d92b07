use crate::json::TEXT_BYTES_MAX;

/// Why a message is not MessagePack that can be inspected. The sender is at fault in every case. Offsets are bytes from
/// the start of the message, to the value that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than [`TEXT_BYTES_MAX`] bytes.
    #[error("the message is longer than {TEXT_BYTES_MAX} bytes; lower the message size limit of this route")]
    TooLong,
    /// Maps and arrays nest deeper than the limit.
    #[error("maps and arrays nest deeper than the limit; raise it for this route if the message is wanted")]
    TooDeep,
    /// The message ends within a value, or declares more elements or bytes than are left.
    #[error("the value at byte {offset} declares more than the message has")]
    Truncated { offset: usize },
    /// More bytes follow the value.
    #[error("the value ends before byte {offset} and the message does not; a message must be one value")]
    Trailing { offset: usize },
    /// The byte 0xc1, which is never used.
    #[error("byte {offset} is 0xc1, which MessagePack does not use")]
    Reserved { offset: usize },
    /// A str is not UTF-8.
    #[error("the str at byte {offset} is not UTF-8; the sender must use bin for binary data")]
    InvalidUtf8 { offset: usize },
    /// A float is infinite, or not a number.
    #[error("the float at byte {offset} is infinite or not a number, which no schema can judge")]
    NotFinite { offset: usize },
    /// A key of a map is neither a str nor an integer.
    #[error("the key at byte {offset} is neither str nor integer, which no schema can judge")]
    KeyType { offset: usize },
    /// A key of a map is one that stands for binary data.
    #[error(
        "the key at byte {offset} is \"$bin\", \"$ext\" or \"$data\", which stand for binary data in schemas"
    )]
    ReservedKey { offset: usize },
    /// A map has the same key twice; receivers differ in which one they keep.
    #[error("the map at byte {offset} has the same key twice; the sender must name each member once")]
    DuplicateKey { offset: usize },
}

impl Fault {
    /// A stable label for metrics and audit records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "msgpack_too_long",
            Self::TooDeep => "msgpack_too_deep",
            Self::Truncated { .. } => "msgpack_truncated",
            Self::Trailing { .. } => "msgpack_trailing",
            Self::Reserved { .. } => "msgpack_reserved",
            Self::InvalidUtf8 { .. } => "msgpack_invalid_utf8",
            Self::NotFinite { .. } => "msgpack_not_finite",
            Self::KeyType { .. } => "msgpack_key_type",
            Self::ReservedKey { .. } => "msgpack_reserved_key",
            Self::DuplicateKey { .. } => "msgpack_duplicate_key",
        }
    }
}
