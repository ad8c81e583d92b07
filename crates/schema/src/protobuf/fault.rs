use crate::json::TEXT_BYTES_MAX;

/// Why a message is none of its type. The sender is at fault in every case. Offsets are bytes from the start of the
/// message, to the field that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// More than [`TEXT_BYTES_MAX`] bytes.
    #[error("the message is longer than {TEXT_BYTES_MAX} bytes; lower the message size limit of this route")]
    TooLong,
    /// Messages, lists and groups nest deeper than the limit.
    #[error("messages nest deeper than the limit; raise it for this route if the message is wanted")]
    TooDeep,
    /// The message ends within a field, or a length is beyond what there is.
    #[error("the field at byte {offset} is longer than what holds it")]
    Truncated { offset: usize },
    /// A varint has more bytes than its value needs, or more than 64 bits.
    #[error("the field at byte {offset} has a varint that is longer than it need be")]
    OverlongVarint { offset: usize },
    /// A value is not one of its type: receivers cut it off to fit.
    #[error("the value at byte {offset} does not fit the type of its field")]
    OutOfRange { offset: usize },
    /// A field number is 0, or beyond 2^29 - 1.
    #[error("the field at byte {offset} has a number that no field can have")]
    FieldNumber { offset: usize },
    /// The field is known, and has another type.
    #[error("field {number} at byte {offset} has a wire type that its type does not have")]
    WireType { number: u32, offset: usize },
    /// A group ends that was not begun, or the other way around.
    #[error("the group at byte {offset} has no matching begin or end")]
    Group { offset: usize },
    /// A string is not UTF-8.
    #[error("the string of field {number} at byte {offset} is not UTF-8; it should be a bytes field")]
    InvalidUtf8 { number: u32, offset: usize },
    /// The type of the message has no such field.
    #[error(
        "field {number} at byte {offset} is unknown; if it is wanted, update the .proto file or set unknown-fields \"allow\""
    )]
    UnknownField { number: u32, offset: usize },
    /// The enum of the field has no such value.
    #[error(
        "the enum of field {number} at byte {offset} has no such value; if it is wanted, update the .proto file or set \
         unknown-fields \"allow\""
    )]
    UnknownEnumValue { number: u32, offset: usize },
    /// A required field (proto2) was not sent.
    #[error("the required field {number} is missing in one of the messages")]
    MissingRequired { number: u32 },
    /// With the fields that were not sent and have defaults, there are more values than a schema may be shown.
    #[error("the message unfolds to more values than are looked at; send it in parts")]
    TooManyValues,
}

impl Fault {
    /// A stable label for metrics and audit records.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooLong => "protobuf_too_long",
            Self::TooDeep => "protobuf_too_deep",
            Self::Truncated { .. } => "protobuf_truncated",
            Self::OverlongVarint { .. } => "protobuf_overlong_varint",
            Self::OutOfRange { .. } => "protobuf_out_of_range",
            Self::FieldNumber { .. } => "protobuf_field_number",
            Self::WireType { .. } => "protobuf_wire_type",
            Self::Group { .. } => "protobuf_group",
            Self::InvalidUtf8 { .. } => "protobuf_invalid_utf8",
            Self::UnknownField { .. } => "protobuf_unknown_field",
            Self::UnknownEnumValue { .. } => "protobuf_unknown_enum_value",
            Self::MissingRequired { .. } => "protobuf_missing_required",
            Self::TooManyValues => "protobuf_too_many_values",
        }
    }
}
