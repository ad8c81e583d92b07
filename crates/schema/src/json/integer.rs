use super::depth::skip_string;

/// The longest run of digits that fits 64 bits whatever they are.
const DIGITS_ALWAYS_FIT: usize = 18;

/// Whether every integer literal in `text`, which must be JSON, fits an `i64` or a `u64`.
///
/// The parser rounds a larger one to the nearest `f64`, and a bound or a divisor would then be applied to
/// a number that is not the one in the message. It keeps no trace of the literal, hence this second look;
/// it is only taken when a number of that size was seen.
pub(super) fn all_fit_64_bits(text: &str) -> bool {
    let mut rest = text.as_bytes().iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'"' => skip_string(&mut rest),
            b'-' | b'0'..=b'9' => {
                let start = text.len() - rest.as_slice().len() - 1;
                let len = text[start..].bytes().take_while(|byte| is_number_byte(*byte)).count();
                if !fits(&text[start..start + len]) {
                    return false;
                }
                rest = text.as_bytes()[start + len..].iter();
            }
            _ => {}
        }
    }
    true
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn fits(literal: &str) -> bool {
    let digits = literal.strip_prefix('-').unwrap_or(literal);
    let is_integer = digits.bytes().all(|byte| byte.is_ascii_digit());
    !is_integer
        || digits.len() <= DIGITS_ALWAYS_FIT
        || literal.parse::<i64>().is_ok()
        || literal.parse::<u64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_integers_that_do_not_fit() {
        for fitting in [
            "18446744073709551615",
            "-9223372036854775808",
            "[1e300, 12345678901234567890.5]",
            r#"{"99999999999999999999": "99999999999999999999\"99999999999999999999"}"#,
            "[]",
        ] {
            assert!(all_fit_64_bits(fitting), "{fitting}");
        }
        for oversized in [
            "18446744073709551616",
            "-9223372036854775809",
            r#"{"a": ["x", 100000000000000000000]}"#,
            "[1,2,-18446744073709551615]",
        ] {
            assert!(!all_fit_64_bits(oversized), "{oversized}");
        }
    }
}
