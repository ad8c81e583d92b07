use crate::json::number::Number;

/// One value of a message. What it contains follows it: `size` values in all, `count` elements or members.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Value<'a> {
    Null,
    Boolean(bool),
    /// As the name of a member: its decimal digits, of an integer.
    Number(Number),
    Text(&'a str),
    /// A text that is not in the message as it is read: where it is in [`Tree::unescaped`](super::Tree), in bytes.
    Unescaped {
        start: u32,
        end: u32,
    },
    /// Read as base64 (RFC 4648 section 4).
    Bytes(&'a [u8]),
    Array {
        count: u32,
        size: u32,
    },
    Object {
        count: u32,
        size: u32,
    },
}

// What a message may cost beside itself depends on it.
const _: () = assert!(size_of::<Value<'_>>() == 24);

impl<'a> Value<'a> {
    /// How many values are inside this one, at any depth, names among them.
    pub fn size(self) -> usize {
        match self {
            Self::Array { size, .. } | Self::Object { size, .. } => size as usize,
            _ => 0,
        }
    }

    pub fn unsigned(value: u64) -> Self {
        Self::Number(Number::Unsigned(value))
    }

    pub fn signed(value: i64) -> Self {
        Self::Number(u64::try_from(value).map_or(Number::Signed(value), Number::Unsigned))
    }

    /// A float that is a number; otherwise the text that stands for it in the JSON mapping of Protobuf.
    pub fn float(value: f64) -> Self {
        match value {
            _ if value.is_finite() => Self::Number(Number::Float(value)),
            _ if value.is_nan() => Self::Text("NaN"),
            _ if value > 0.0 => Self::Text("Infinity"),
            _ => Self::Text("-Infinity"),
        }
    }
}

/// The name of a member: texts, and integers by their value. A text of the digits of an integer is the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Name<'a> {
    Text(&'a str),
    Integer(i128),
}

impl<'a> Name<'a> {
    /// `None`: the value can be no name. `value` is not [`Value::Unescaped`].
    #[inline]
    pub fn of(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::of_text(text)),
            Value::Number(Number::Unsigned(integer)) => Some(Self::Integer(integer.into())),
            Value::Number(Number::Signed(integer)) => Some(Self::Integer(integer.into())),
            _ => None,
        }
    }

    #[inline]
    pub fn of_text(text: &'a str) -> Self {
        match text.as_bytes() {
            [b'-' | b'0'..=b'9', ..] => integer(text).map_or(Self::Text(text), Self::Integer),
            _ => Self::Text(text),
        }
    }
}

/// The 64-bit integer whose digits `text` is, exactly as they would be written.
fn integer(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_written_so = digits.len() == 1 || !digits.starts_with('0');
    let is_negative_zero = text == "-0";
    if digits.len() > 20 || !is_written_so || is_negative_zero || !digits.bytes().all(|b| b.is_ascii_digit())
    {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_digits_is_the_name_of_the_integer() {
        for (text, value) in [("0", 0), ("-1", -1), ("18446744073709551615", u64::MAX.into())] {
            assert_eq!(Name::of_text(text), Name::Integer(value));
        }
        for text in ["", "-", "00", "01", "-0", "-01", "+1", "1.0", "1e3", " 1", "99999999999999999999999"] {
            assert_eq!(Name::of_text(text), Name::Text(text));
        }
        assert_eq!(Name::of(Value::signed(5)), Name::of(Value::Text("5")));
        assert_eq!(Name::of(Value::float(5.0)), None);
    }
}
