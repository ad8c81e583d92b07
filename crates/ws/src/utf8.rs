//! UTF-8 across fragments (RFC 6455 section 8.1): a character may be cut anywhere, and a fault is seen as soon as
//! the bytes that arrived can't begin any character.

use crate::error::ProtocolError;

/// Validation state between fragments: the bytes of a character that has begun.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8 {
    begun: [u8; 4],
    begun_size: u8,
}

impl Utf8 {
    /// Validates the next bytes of the text.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] when no continuation could make the text valid.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), ProtocolError> {
        while self.begun_size > 0 {
            let Some((&next, rest)) = bytes.split_first() else { return Ok(()) };
            self.begun[usize::from(self.begun_size)] = next;
            self.begun_size += 1;
            bytes = rest;
            match std::str::from_utf8(&self.begun[..usize::from(self.begun_size)]) {
                Ok(_) => self.begun_size = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return Err(ProtocolError::InvalidUtf8),
            }
        }
        let Err(error) = simdutf8::compat::from_utf8(bytes) else { return Ok(()) };
        if error.error_len().is_some() {
            return Err(ProtocolError::InvalidUtf8);
        }
        // An incomplete character is at most three bytes long, so it fits.
        let tail = &bytes[error.valid_up_to()..];
        self.begun[..tail.len()].copy_from_slice(tail);
        self.begun_size = tail.len() as u8;
        Ok(())
    }

    /// Ends the text.
    ///
    /// # Errors
    /// [`ProtocolError::InvalidUtf8`] when it stops inside a character.
    pub fn finish(&self) -> Result<(), ProtocolError> {
        if self.begun_size == 0 { Ok(()) } else { Err(ProtocolError::InvalidUtf8) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(bytes: &[u8], cuts: &[usize]) -> Result<(), ProtocolError> {
        let mut utf8 = Utf8::default();
        let mut rest = bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at(cut % (rest.len() + 1));
            utf8.feed(piece)?;
            rest = after;
        }
        utf8.feed(rest)?;
        utf8.finish()
    }

    proptest! {
        #[test]
        fn any_split_judges_alike(bytes: Vec<u8>, cuts in prop::collection::vec(0..64usize, 0..8)) {
            prop_assert_eq!(in_pieces(&bytes, &cuts).is_ok(), std::str::from_utf8(&bytes).is_ok());
        }

        #[test]
        fn any_split_of_text_is_text(text: String, cuts in prop::collection::vec(0..64usize, 0..8)) {
            prop_assert_eq!(in_pieces(text.as_bytes(), &cuts), Ok(()));
        }
    }

    #[test]
    fn hopeless_bytes_fail_before_the_end() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.feed(b"ok \xf4"), Ok(()));
        // U+110000 and above do not exist: the second byte shows it.
        assert_eq!(utf8.feed(b"\x90"), Err(ProtocolError::InvalidUtf8));
        assert_eq!(Utf8::default().feed(b"\xed\xa0\x80"), Err(ProtocolError::InvalidUtf8));
    }
}
