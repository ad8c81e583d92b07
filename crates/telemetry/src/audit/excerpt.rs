//! What may be kept of a payload: nothing, its hash, or its shape.

use sha2::{Digest, Sha256};

/// The longest excerpt, and how much of it lies before the end of the evidence, in bytes.
const EXCERPT_SIZE_MAX: usize = 64;
const EXCERPT_BEFORE: usize = 48;

/// What the record of a verdict keeps of the payload (`audit { payload }`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    #[default]
    None,
    /// SHA-256 of all of it, to recognise it elsewhere. Computed on the shard, so a large message costs it time.
    Hash,
    /// The shape of up to 64 bytes around the evidence: letters as `x` and `X`, digits as `0`, bytes beyond ASCII as `?`,
    /// control characters as `.`; punctuation and spaces stay.
    Redacted,
}

/// What was kept.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    Hash([u8; 32]),
    Excerpt(Excerpt),
}

/// A redacted excerpt: ASCII without control characters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    bytes: [u8; EXCERPT_SIZE_MAX],
    size: u8,
}

impl Evidence {
    /// `at`: where in `payload` the evidence ends. An empty payload is no evidence: either there was none, or the verdict
    /// fell before it was seen.
    pub fn new(kind: Payload, payload: &[u8], at: Option<usize>) -> Option<Self> {
        match kind {
            _ if payload.is_empty() => None,
            Payload::None => None,
            Payload::Hash => Some(Self::Hash(Sha256::digest(payload).into())),
            Payload::Redacted => Some(Self::Excerpt(Excerpt::new(payload, at))),
        }
    }
}

impl Excerpt {
    fn new(payload: &[u8], at: Option<usize>) -> Self {
        let latest = payload.len().saturating_sub(EXCERPT_SIZE_MAX);
        let start = at.unwrap_or(0).saturating_sub(EXCERPT_BEFORE).min(latest);
        let mut excerpt = Self { bytes: [0; EXCERPT_SIZE_MAX], size: 0 };
        for (to, from) in excerpt.bytes.iter_mut().zip(&payload[start..]) {
            *to = redact(*from);
            excerpt.size += 1;
        }
        excerpt
    }

    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.bytes[..usize::from(self.size)]).unwrap_or_default()
    }
}

const fn redact(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' => b'x',
        b'A'..=b'Z' => b'X',
        b'0'..=b'9' => b'0',
        0x80.. => b'?',
        0..=0x1f | 0x7f => b'.',
        punctuation => punctuation,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(payload: &[u8], at: Option<usize>) -> String {
        Excerpt::new(payload, at).as_str().to_owned()
    }

    #[test]
    fn the_shape_shows_and_the_content_does_not() {
        assert_eq!(excerpt(b"{\"Pass\": \"s3cret!\"}\r\n", None), "{\"Xxxx\": \"x0xxxx!\"}..");
        assert_eq!(excerpt("é\u{1b}[31m\x7f".as_bytes(), None), "??.[00x.");
        let all: Vec<u8> = (0..=255).collect();
        for window in all.chunks(EXCERPT_SIZE_MAX) {
            let shown = excerpt(window, None);
            assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            assert!(shown.bytes().filter(u8::is_ascii_alphanumeric).all(|byte| b"xX0".contains(&byte)));
        }
    }

    #[test]
    fn the_window_is_around_the_evidence() {
        let mut payload = vec![b' '; 1000];
        payload[500] = b'a';
        let shown = excerpt(&payload, Some(501));
        assert_eq!((shown.len(), shown.find('x')), (64, Some(47)));
        payload[999] = b'a';
        assert_eq!(excerpt(&payload, Some(1000)).find('x'), Some(63));
        assert_eq!(excerpt(&payload, Some(usize::MAX)).find('x'), Some(63));
        payload[0] = b'a';
        assert_eq!(excerpt(&payload, Some(1)).find('x'), Some(0));
        assert_eq!(excerpt(&payload, None).find('x'), Some(0));
    }

    #[test]
    fn hashes_are_of_the_whole_payload() {
        // FIPS 180-2, appendix B.1.
        let hash = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
            0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
        ];
        assert_eq!(Evidence::new(Payload::Hash, b"abc", Some(1)), Some(Evidence::Hash(hash)));
        assert_eq!(Evidence::new(Payload::Hash, b"", None), None);
        assert_eq!(Evidence::new(Payload::None, b"abc", None), None);
    }
}
