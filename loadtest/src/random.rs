//! Numbers for mask keys and handshake nonces: different for each run, not for secrets.

use std::hash::{BuildHasher, Hasher, RandomState};

/// xorshift64* (Vigna 2016).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub fn new() -> Self {
        // The state must not be zero.
        Self(RandomState::new().build_hasher().finish() | 1)
    }

    #[cfg(test)]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed | 1)
    }

    #[inline]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    #[inline]
    pub fn mask_key(&mut self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.next().to_be_bytes();
        [a, b, c, d]
    }

    /// For a `Sec-WebSocket-Key` (RFC 6455 section 4.1).
    pub fn nonce(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }
}
