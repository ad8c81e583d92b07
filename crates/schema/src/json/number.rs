use std::borrow::Cow;

use jsonschema::json::JsonNumber;

/// 2^63. An `f64` this large lies outside `i64`, and is a whole number.
const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;

/// A number of a message, as the parser holds it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Unsigned(u64),
    /// Less than zero.
    Signed(i64),
    /// Finite. The parser also holds `-0` and integers beyond 64 bits this way.
    Float(f64),
}

impl Number {
    pub(crate) fn is_beyond_64_bits(self) -> bool {
        matches!(self, Self::Float(float) if float.abs() >= TWO_POW_63)
    }

    /// The same key for numbers that JSON Schema holds equal, such as `1` and `1.0`.
    pub(crate) fn identity(self) -> NumberIdentity {
        match self {
            Self::Unsigned(unsigned) => NumberIdentity::Whole(unsigned.into()),
            Self::Signed(signed) => NumberIdentity::Whole(signed.into()),
            // Exact: a whole `f64` below 2^65 is an `i128`, and no larger one equals a 64-bit integer.
            Self::Float(float) if float.fract() == 0.0 && float.abs() < 4.0 * TWO_POW_63 => {
                NumberIdentity::Whole(float as i128)
            }
            Self::Float(float) => NumberIdentity::Bits(float.to_bits()),
        }
    }

    fn to_serde(self) -> serde_json::Number {
        match self {
            Self::Unsigned(unsigned) => unsigned.into(),
            Self::Signed(signed) => signed.into(),
            Self::Float(float) => serde_json::Number::from_f64(float).unwrap_or_else(|| 0.into()),
        }
    }
}

impl From<Number> for serde_json::Value {
    fn from(number: Number) -> Self {
        Self::Number(number.to_serde())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum NumberIdentity {
    Whole(i128),
    Bits(u64),
}

impl JsonNumber for Number {
    fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(unsigned) => Some(unsigned),
            _ => None,
        }
    }

    fn as_i64(&self) -> Option<i64> {
        match *self {
            Self::Unsigned(unsigned) => i64::try_from(unsigned).ok(),
            Self::Signed(signed) => Some(signed),
            Self::Float(_) => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        Some(match *self {
            Self::Unsigned(unsigned) => unsigned as f64,
            Self::Signed(signed) => signed as f64,
            Self::Float(float) => float,
        })
    }

    fn as_str(&self) -> Cow<'_, str> {
        Cow::Owned(self.to_serde().to_string())
    }

    fn to_number(&self) -> Cow<'_, serde_json::Number> {
        Cow::Owned(self.to_serde())
    }

    fn is_integer(&self) -> bool {
        match *self {
            Self::Unsigned(_) | Self::Signed(_) => true,
            Self::Float(float) => float.fract() == 0.0,
        }
    }

    /// Draft 4 only. A float whose literal is not known counts as one, except beyond 64 bits, where
    /// the literal may have been a plain one with an exponent: the same reading as jsonschema's own.
    fn is_written_as_integer(&self) -> bool {
        self.to_serde().is_written_as_integer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_share_an_identity() {
        let two_pow_63 = Number::Unsigned(1 << 63);
        for (left, right) in [
            (Number::Unsigned(1), Number::Float(1.0)),
            (Number::Signed(-3), Number::Float(-3.0)),
            (Number::Unsigned(0), Number::Float(-0.0)),
            (two_pow_63, Number::Float(TWO_POW_63)),
            (Number::Float(1e300), Number::Float(1e300)),
        ] {
            assert_eq!(left.identity(), right.identity());
        }
        for (left, right) in [
            (Number::Unsigned(1), Number::Float(1.5)),
            (Number::Unsigned((1 << 63) - 1), Number::Float(TWO_POW_63)),
            (Number::Unsigned(u64::MAX), Number::Float(2.0 * TWO_POW_63)),
            (Number::Float(1e300), Number::Float(-1e300)),
        ] {
            assert_ne!(left.identity(), right.identity());
        }
    }
}
