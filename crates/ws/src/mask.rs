//! Masking (RFC 6455 section 5.3): XOR with a repeating key of four bytes, in place.

/// XORs `bytes` with `key`, of which `phase` bytes (modulo 4) were used up before. Masking and unmasking are the same.
///
/// Works on whole words, which the compiler turns into vector instructions: no unsafe is needed for that.
#[inline]
pub fn apply(bytes: &mut [u8], key: [u8; 4], phase: usize) {
    let mut key = key;
    key.rotate_left(phase % 4);
    let word = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let mut blocks = bytes.chunks_exact_mut(32);
    for block in &mut blocks {
        for lane in block.chunks_exact_mut(8) {
            xor_word(lane, word);
        }
    }
    let mut words = blocks.into_remainder().chunks_exact_mut(8);
    for lane in &mut words {
        xor_word(lane, word);
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[inline(always)]
fn xor_word(lane: &mut [u8], word: u64) {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(lane);
    lane.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ word).to_ne_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The formula of RFC 6455 section 5.3, byte by byte.
    fn reference(bytes: &mut [u8], key: [u8; 4], phase: usize) {
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte ^= key[(phase + i) % 4];
        }
    }

    proptest! {
        #[test]
        fn equals_the_formula(mut bytes: Vec<u8>, key: [u8; 4], phase in 0..9usize) {
            let mut expected = bytes.clone();
            reference(&mut expected, key, phase);
            apply(&mut bytes, key, phase);
            prop_assert_eq!(bytes, expected);
        }
    }
}
