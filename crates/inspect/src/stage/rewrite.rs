//! Rewrite: one place of a message changed, and every other byte as it came.

use std::fmt::Write;

use hmac::Mac as _;
use wsi_schema::{EditFault, Edits, Operation, Text, json, msgpack};

use crate::engine::{Becomes, Engine, RewritePlan, Target};

/// What takes the place of a character.
const MASK: char = '*';
/// Half of what HMAC-SHA-256 gives: enough to tell values apart (RFC 2104 section 5).
const HASH_SIZE: usize = 16;

/// The changes that `plan` makes of a message; none where it has no such place.
///
/// # Errors
/// When it can't be read, or what is there can't be changed so.
pub(crate) fn rewrite(engine: &Engine, plan: &RewritePlan, payload: &[u8]) -> Result<Edits, EditFault> {
    let change = |text: Text<'_>| plan.change.of(text);
    let operation = match &plan.change {
        Becomes::Nothing => Operation::Remove,
        Becomes::Value(literal) => Operation::Set(literal),
        Becomes::Masked { .. } | Becomes::Hashed(_) => Operation::Text(&change),
    };
    let limits = &engine.json_limits;
    match &plan.target {
        Target::Json(pointer) => {
            let text = simdutf8::basic::from_utf8(payload).map_err(|_| EditFault::NotText)?;
            json::edit(text, pointer, &operation, limits)
        }
        Target::MessagePack(pointer) => msgpack::edit(payload, pointer, &operation, limits),
        Target::Undeclared(reading) => reading.kind.strip(payload, limits),
        Target::Protobuf { kind, path } => kind.edit(payload, path, &operation, limits),
    }
}

impl Becomes {
    /// What becomes of a text. Other changes know none.
    fn of(&self, text: Text<'_>) -> Vec<u8> {
        match (self, text) {
            (Self::Masked { keep_last }, Text::Characters(text)) => mask(&text, *keep_last).into_bytes(),
            (Self::Masked { keep_last }, Text::Bytes(bytes)) => {
                let hidden = hidden_count(bytes.len(), *keep_last);
                [&vec![MASK as u8; hidden][..], &bytes[hidden..]].concat()
            }
            (Self::Hashed(key), text) => {
                let mut hash = key.clone();
                hash.update(text.as_bytes());
                let digest = hash.finalize().into_bytes();
                let mut digits = String::with_capacity(2 * HASH_SIZE);
                for byte in &digest[..HASH_SIZE] {
                    // Writing to a String can't fail.
                    let _ = write!(digits, "{byte:02x}");
                }
                digits.into_bytes()
            }
            (Self::Nothing | Self::Value(_), text) => text.as_bytes().to_vec(),
        }
    }
}

fn mask(text: &str, keep_last: usize) -> String {
    let hidden = hidden_count(text.chars().count(), keep_last);
    std::iter::repeat_n(MASK, hidden).chain(text.chars().skip(hidden)).collect()
}

/// Of a text that would be kept as a whole nothing is.
const fn hidden_count(count: usize, keep_last: usize) -> usize {
    if count > keep_last { count - keep_last } else { count }
}

#[cfg(test)]
mod tests {
    use hmac::Hmac;

    use super::*;

    #[test]
    fn masks_leave_the_last() {
        for (text, keep_last, expected) in [
            ("4111 1111", 4, "*****1111"),
            ("é€🦀", 1, "**🦀"),
            ("abcd", 4, "****"),
            ("abc", 0, "***"),
            ("", 4, ""),
        ] {
            let of = |text| Becomes::Masked { keep_last }.of(text);
            assert_eq!(of(Text::Characters(text.into())), expected.as_bytes());
        }
        assert_eq!(Becomes::Masked { keep_last: 1 }.of(Text::Bytes(&[1, 2, 0xff])), b"**\xff");
    }

    /// RFC 4231 section 4.2: the first half.
    #[test]
    fn hashes_are_hmac_sha_256() {
        let hash = Becomes::Hashed(Hmac::new_from_slice(&[0x0b; 20]).unwrap());
        assert_eq!(hash.of(Text::Characters("Hi There".into())), b"b0344c61d8db38535ca8afceaf0bf12b");
        assert_eq!(hash.of(Text::Bytes(b"Hi There")), b"b0344c61d8db38535ca8afceaf0bf12b");
    }
}
