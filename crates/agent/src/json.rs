//! A strict reader of the JSON objects that events are. It copies nothing: a frame's payload may be megabytes, and is
//! decoded where it lies.

use std::{borrow::Cow, ops::Range};

use crate::Fault;

/// How deep values that nobody asks for may nest.
const DEPTH_MAX: u32 = 16;

/// A place in a text.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A string, between its quotes.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub range: Range<usize>,
    pub has_escapes: bool,
}

impl Text {
    /// What it says.
    ///
    /// # Errors
    /// [`Fault::Json`]: not UTF-8, a control character, or an escape that JSON does not have.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, Fault> {
        let raw = bytes.get(self.range.clone()).ok_or(Fault::Json)?;
        if self.has_escapes {
            let quoted = bytes.get(self.range.start - 1..self.range.end + 1).ok_or(Fault::Json)?;
            return serde_json::from_slice(quoted).map(Cow::Owned).map_err(|_| Fault::Json);
        }
        let text = str::from_utf8(raw).map_err(|_| Fault::Json)?;
        if text.bytes().any(|byte| byte < b' ') { Err(Fault::Json) } else { Ok(Cow::Borrowed(text)) }
    }
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn at(&self) -> usize {
        self.at
    }

    /// Nothing but white space is left.
    pub fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(Fault::Json) }
    }

    /// Reads an object; `field` reads the value of each member.
    #[inline]
    pub fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, Text) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.take(b'{')?;
        if self.take_if(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            field(self, name)?;
            if self.take_if(b'}') {
                return Ok(());
            }
            self.take(b',')?;
        }
    }

    #[inline]
    pub fn string(&mut self) -> Result<Text, Fault> {
        self.take(b'"')?;
        let (start, mut has_escapes) = (self.at, false);
        loop {
            let rest = self.bytes.get(self.at..).ok_or(Fault::Json)?;
            let end = memchr::memchr2(b'"', b'\\', rest).ok_or(Fault::Json)?;
            self.at += end + 1;
            if rest[end] == b'"' {
                return Ok(Text { range: start..self.at - 1, has_escapes });
            }
            has_escapes = true;
            self.at += 1;
        }
    }

    pub fn boolean(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            _ => self.word(b"false").map(|()| false),
        }
    }

    /// A whole number without a sign.
    pub fn integer(&mut self) -> Result<u64, Fault> {
        self.peek();
        let digits = self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = &self.bytes[self.at..self.at + digits];
        let is_exact = self.bytes.get(self.at + digits).is_none_or(|next| !b".eE".contains(next));
        if digits == 0 || !is_exact || (digits > 1 && text[0] == b'0') {
            return Err(Fault::Json);
        }
        self.at += digits;
        str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Fault::Json)
    }

    /// Passes over a value of any kind; gives where it lay.
    pub fn skip(&mut self) -> Result<Range<usize>, Fault> {
        self.peek();
        let start = self.at;
        self.skip_to(DEPTH_MAX)?;
        Ok(start..self.at)
    }

    fn skip_to(&mut self, depth: u32) -> Result<(), Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Json)?;
        match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                text.read(self.bytes).map(|_| ())
            }
            Some(b'{') => self.object(|cursor, name| {
                name.read(cursor.bytes)?;
                cursor.skip_to(depth)
            }),
            Some(b'[') => {
                self.at += 1;
                if self.take_if(b']') {
                    return Ok(());
                }
                loop {
                    self.skip_to(depth)?;
                    if self.take_if(b']') {
                        return Ok(());
                    }
                    self.take(b',')?;
                }
            }
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(_) => self.number(),
            None => Err(Fault::Json),
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
        let size = self.bytes[self.at..].iter().take_while(|byte| is_part(byte)).count();
        let text = &self.bytes[self.at..self.at + size];
        self.at += size;
        serde_json::from_slice::<serde_json::Number>(text).map(|_| ()).map_err(|_| Fault::Json)
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        self.peek();
        if !self.bytes[self.at..].starts_with(word) {
            return Err(Fault::Json);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn take(&mut self, byte: u8) -> Result<(), Fault> {
        if self.take_if(byte) { Ok(()) } else { Err(Fault::Json) }
    }

    #[inline]
    fn take_if(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// The next byte that is no white space.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skips(text: &[u8]) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().is_ok() && cursor.end().is_ok()
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::hash_map(".*", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// What serde_json writes is passed over to its end, and what it refuses is refused.
        #[test]
        fn agrees_with_serde_json(value in json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = value.to_string().into_bytes();
            prop_assert!(skips(&text));
            let at = at.index(text.len());
            text[at] = byte;
            let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(skips(&text), theirs, "{}", String::from_utf8_lossy(&text));
        }
    }

    #[test]
    fn depth_is_bounded() {
        assert!(skips(&[b"[".repeat(15), b"]".repeat(15)].concat()));
        assert!(!skips(&[b"[".repeat(17), b"]".repeat(17)].concat()));
        assert!(!skips(&b"[".repeat(1 << 20)));
    }
}
