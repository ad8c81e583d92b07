use std::collections::HashSet;

use sonic_rs::{Object, Value};

use super::{document::Fault, index::WIDE_MEMBERS_MIN, node::Kind};

/// Objects up to this size compare names pairwise where the filter cannot tell them apart; larger ones
/// use a set with a random key, so that no choice of names makes the check quadratic.
const PAIRWISE_MEMBERS_MAX: usize = 16;

const _: () = assert!(PAIRWISE_MEMBERS_MAX < WIDE_MEMBERS_MIN);

/// What one walk over a parsed message found, beside the duplicates that end it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Traits {
    /// An object is so wide that lookups by name deserve an index.
    pub(super) wide: bool,
    /// A number is beyond 64 bits; whether it was written as an integer only the text can tell.
    pub(super) beyond_64_bits: bool,
}

/// Refuses an object that has the same member name twice, at any level.
///
/// Names are compared as the parser unescaped them. The cost is linear in the message.
pub(super) fn refuse_duplicates(value: &Value, traits: &mut Traits) -> Result<(), Fault> {
    match Kind::of(value) {
        Kind::Object(object) if object.len() <= PAIRWISE_MEMBERS_MAX => small_object(object, traits),
        Kind::Object(object) => large_object(object, traits),
        Kind::Array(elements) => elements.iter().try_for_each(|element| refuse_duplicates(element, traits)),
        Kind::Number(number) => {
            traits.beyond_64_bits |= number.is_beyond_64_bits();
            Ok(())
        }
        Kind::Null | Kind::Boolean(_) | Kind::String(_) => Ok(()),
    }
}

fn small_object(object: &Object, traits: &mut Traits) -> Result<(), Fault> {
    // One bit per (length, first byte, last byte): names that differ there need no comparison.
    let mut seen = 0_u64;
    for (position, (name, member)) in object.iter().enumerate() {
        let bit = filter_bit(name.as_bytes());
        if seen & bit != 0 && object.iter().take(position).any(|(earlier, _)| earlier == name) {
            return Err(Fault::DuplicateKey);
        }
        seen |= bit;
        refuse_duplicates(member, traits)?;
    }
    Ok(())
}

fn large_object(object: &Object, traits: &mut Traits) -> Result<(), Fault> {
    traits.wide |= object.len() >= WIDE_MEMBERS_MIN;
    let mut seen = HashSet::with_capacity(object.len());
    for (name, member) in object.iter() {
        if !seen.insert(name) {
            return Err(Fault::DuplicateKey);
        }
        refuse_duplicates(member, traits)?;
    }
    Ok(())
}

fn filter_bit(name: &[u8]) -> u64 {
    let first = name.first().copied().unwrap_or_default();
    let last = name.last().copied().unwrap_or_default();
    let key = (name.len() as u64) << 16 | u64::from(first) << 8 | u64::from(last);
    // Fibonacci hashing: the top six bits depend on every bit of the key.
    1 << (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Result<Traits, Fault> {
        let mut traits = Traits::default();
        refuse_duplicates(&sonic_rs::from_str(text).unwrap(), &mut traits).map(|()| traits)
    }

    fn object(members: usize, last: &str) -> String {
        let names: Vec<_> = (1..members).map(|at| format!(r#""n{at}":0"#)).collect();
        format!("{{{},{last}:0}}", names.join(","))
    }

    #[test]
    fn the_same_name_twice_is_refused_at_any_size() {
        for members in [2, 3, PAIRWISE_MEMBERS_MAX, PAIRWISE_MEMBERS_MAX + 1, 5_000] {
            assert_eq!(look(&object(members, r#""n1""#)), Err(Fault::DuplicateKey), "{members}");
            assert_eq!(look(&object(members, r#""\u006e1""#)), Err(Fault::DuplicateKey), "{members}");
            assert!(look(&object(members, r#""N1""#)).is_ok(), "{members}");
        }
    }

    #[test]
    fn names_that_share_a_filter_bit_are_told_apart() {
        assert!(look(r#"{"axb":1, "ayb":2, "azb":3, "":4, "\u0000":5, "a\u0000":6}"#).is_ok());
    }

    #[test]
    fn every_level_is_looked_at() {
        assert_eq!(look(r#"[1, {"a": {"b": [{"c":1,"c":2}]}}]"#), Err(Fault::DuplicateKey));
        assert!(look(r#"[{"a": {"a": 1}}, {"a": 1}]"#).is_ok());
    }

    #[test]
    fn traits_are_reported() {
        assert_eq!(look(r#"{"a": [1, -2.5, "x", null]}"#), Ok(Traits::default()));
        assert!(look("[[-9223372036854775809]]").unwrap().beyond_64_bits);
        assert!(look(&format!("[{}]", object(WIDE_MEMBERS_MIN, r#""z""#))).unwrap().wide);
    }
}
