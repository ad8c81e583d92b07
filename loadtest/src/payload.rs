//! What is sent: messages of one size, each different from all others.

use wsi_ws::Opcode;

use crate::Error;

/// An order; see [`Payload`].
const ORDER: &str = r#"{"type":"order","symbol":"ACME","side":"buy","price":101.25,"quantity":300,"client":"desk-042","note":""#;
const ORDER_END: &str = r#""}"#;
/// Harmless words, so that no filter takes offence.
const FILLER: &str = " please fill at best effort and report each part to the desk as usual";
/// What notes are made of.
const WORDS: [&str; 32] = [
    "please", "fill", "at", "best", "effort", "and", "report", "each", "part", "to", "the", "desk", "as",
    "usual", "price", "limit", "market", "before", "noon", "client", "asked", "for", "half", "now", "rest",
    "later", "confirm", "by", "phone", "order", "venue", "thanks",
];
/// The notes of all messages are cut from a text this long, in bytes, or twice as long as a message.
const NOTES_SIZE_MIN: usize = 64 << 10;
/// "connection-sequence" in digits.
const STAMP_SIZE: usize = 5 + 1 + 10;

/// The kind of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadKind {
    /// An order as JSON, in text messages.
    #[default]
    Json,
    /// The same with other words in each note, so that it compresses as text does and not as a repetition.
    Notes,
    /// Plain words, in text messages.
    Text,
    /// Bytes without a pattern, in binary messages.
    Binary,
}

/// A message that is stamped with the numbers of its connection and its place in it, so that an echo that is lost,
/// doubled, out of order or on the wrong connection does not compare equal.
///
/// The JSON kind is an object of seven members, padded in `note`, where the stamp stands too:
///
/// ```
/// use wsi_loadtest::{Payload, PayloadKind};
///
/// let mut payload = Payload::new(PayloadKind::Json, 160)?;
/// assert_eq!(
///     std::str::from_utf8(payload.stamped(7, 42)),
///     Ok(concat!(
///         r#"{"type":"order","symbol":"ACME","side":"buy","price":101.25,"quantity":300,"client":"desk-042","#,
///         r#""note":"00007-0000000042 please fill at best effort and report "}"#
///     ))
/// );
/// # Ok::<(), wsi_loadtest::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    stamp_at: usize,
    padding: usize,
    /// Where notes are cut from; empty if all are the same.
    notes: Vec<u8>,
    opcode: Opcode,
}

impl Payload {
    /// A message of `size` bytes.
    ///
    /// # Errors
    /// A size that has no room for the fixed part: 16 bytes, with JSON 121.
    pub fn new(kind: PayloadKind, size: usize) -> Result<Self, Error> {
        let is_order = matches!(kind, PayloadKind::Json | PayloadKind::Notes);
        let (head, end) = if is_order { (ORDER, ORDER_END) } else { ("", "") };
        let fixed = head.len() + STAMP_SIZE + end.len();
        let Some(padding) = size.checked_sub(fixed) else {
            return Err(Error::Options(format!(
                "size {size} is too small for this payload; take at least {fixed}"
            )));
        };
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&[b'-'; STAMP_SIZE]);
        match kind {
            PayloadKind::Binary => bytes.extend((0..padding).map(noise)),
            PayloadKind::Json | PayloadKind::Notes | PayloadKind::Text => {
                bytes.extend(FILLER.bytes().cycle().take(padding))
            }
        }
        bytes.extend_from_slice(end.as_bytes());
        let opcode = if kind == PayloadKind::Binary { Opcode::Binary } else { Opcode::Text };
        let notes = if kind == PayloadKind::Notes { notes(NOTES_SIZE_MIN.max(2 * size)) } else { Vec::new() };
        Ok(Self { bytes, stamp_at: head.len(), padding, notes, opcode })
    }

    /// The message number `sequence` of connection number `connection`; both wrap to the digits there are.
    pub fn stamped(&mut self, connection: usize, sequence: u64) -> &[u8] {
        write_digits(&mut self.bytes[self.stamp_at..][..5], connection as u64);
        write_digits(&mut self.bytes[self.stamp_at + 6..][..10], sequence);
        if !self.notes.is_empty() {
            let at = mixed(connection as u64 ^ sequence << 20) as usize % (self.notes.len() - self.padding);
            let padding = &mut self.bytes[self.stamp_at + STAMP_SIZE..][..self.padding];
            padding.copy_from_slice(&self.notes[at..at + self.padding]);
        }
        &self.bytes
    }

    pub const fn opcode(&self) -> Opcode {
        self.opcode
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Words in an order that does not repeat.
fn notes(size: usize) -> Vec<u8> {
    let mut notes = Vec::with_capacity(size + 16);
    for index in 0.. {
        if notes.len() >= size {
            break;
        }
        notes.push(b' ');
        notes.extend_from_slice(WORDS[mixed(index) as usize % WORDS.len()].as_bytes());
    }
    notes
}

/// SplitMix64's finish.
const fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ number >> 31
}

/// The high byte of a multiplicative hash: every value occurs, and text it is not.
const fn noise(index: usize) -> u8 {
    ((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact_and_smaller_ones_refused() {
        for (kind, min) in [
            (PayloadKind::Json, ORDER.len() + 18),
            (PayloadKind::Notes, ORDER.len() + 18),
            (PayloadKind::Text, 16),
            (PayloadKind::Binary, 16),
        ] {
            for size in [min, min + 1, 256, 4096] {
                assert_eq!(Payload::new(kind, size).unwrap().stamped(1, 2).len(), size);
            }
            assert!(matches!(Payload::new(kind, min - 1), Err(Error::Options(_))));
        }
    }

    #[test]
    fn json_is_an_order_of_seven_members() {
        for size in [121, 256, 4096] {
            for kind in [PayloadKind::Json, PayloadKind::Notes] {
                let mut payload = Payload::new(kind, size).unwrap();
                let order: serde_json::Value = serde_json::from_slice(payload.stamped(1, 2)).unwrap();
                assert_eq!(order.as_object().unwrap().len(), 7);
                assert!(order["note"].as_str().unwrap().starts_with("00001-0000000002"));
            }
        }
    }

    #[test]
    fn notes_differ_in_more_than_their_numbers() {
        let mut payload = Payload::new(PayloadKind::Notes, 512).unwrap();
        let first = payload.stamped(1, 2)[140..].to_vec();
        assert_ne!(first, payload.stamped(1, 3)[140..]);
        assert_eq!(first, payload.stamped(1, 2)[140..]);
    }

    #[test]
    fn text_is_utf8_and_binary_is_not() {
        assert!(std::str::from_utf8(Payload::new(PayloadKind::Text, 256).unwrap().stamped(0, 0)).is_ok());
        let mut binary = Payload::new(PayloadKind::Binary, 256).unwrap();
        assert_eq!(binary.opcode(), Opcode::Binary);
        assert!(std::str::from_utf8(binary.stamped(0, 0)).is_err());
    }

    #[test]
    fn no_two_messages_are_equal() {
        let mut payload = Payload::new(PayloadKind::Text, 32).unwrap();
        let mut seen = std::collections::HashSet::new();
        for connection in [0, 1, 9, 10, 99_999] {
            for sequence in [0, 1, 9, 10, 9_999_999_999] {
                assert!(seen.insert(payload.stamped(connection, sequence).to_vec()));
            }
        }
    }
}
