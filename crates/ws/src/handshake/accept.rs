//! The key and its proof (RFC 6455 sections 4.1 and 4.2.2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A `Sec-WebSocket-Key` of our own: base64 of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// The key for a nonce, which the caller draws at random for each connection (RFC 6455 section 4.1, 7).
    pub fn new(nonce: [u8; 16]) -> Self {
        Self(encode(&nonce))
    }

    pub const fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }
}

/// The `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2, 5.4).
pub fn accept_value(key: &[u8]) -> [u8; 28] {
    encode(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// True for the base64 of 16 bytes in its only canonical form: 24 characters, padded, spare bits zero.
pub(super) fn is_key(text: &str) -> bool {
    // 18 is what 24 characters could be; 16 needs the padding.
    let mut nonce = [0; 18];
    STANDARD.decode_slice(text, &mut nonce) == Ok(16)
}

fn encode<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    let written = STANDARD.encode_slice(bytes, &mut out);
    debug_assert_eq!(written, Ok(N), "N is the length of the base64 of `bytes`");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn example_of_rfc_6455_section_1_3() {
        let key = Key::new(*b"the sample nonce");
        assert_eq!(key.as_bytes(), b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept_value(key.as_bytes()), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys() {
        assert!(is_key("dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZR==",
            "dGhlIHNhbXBsZSBub25jZQ= ",
            "dGhlIHNhbXBsZSBub25jZQAA",
            "dGhlIHNhbXBsZSBub25jZQA=",
            "dGhlIHNhbXBsZSBub25-ZQ==",
            "dGhlIHNhbXBsZSBu",
            "dGhlIHNhbXBsZSBub25jZSEhISEh",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
