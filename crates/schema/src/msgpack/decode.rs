use super::Fault;
use crate::{
    json::{DEPTH_MAX_CEILING, Limits, TEXT_BYTES_MAX, number::Number},
    tree::{Builder, Tree, Value},
};

/// How binary data is shown to a schema; no key of a map may look like it.
const BIN: &str = "$bin";
const EXT: &str = "$ext";
const EXT_DATA: &str = "$data";

/// Decodes a message. `payload` is given the bytes of every str, key, bin and ext in their order, and if there is a fault
/// of those before it.
///
/// # Errors
/// The first [`Fault`] in the message.
pub fn decode<'a>(
    bytes: &'a [u8],
    limits: &Limits,
    payload: impl FnMut(&'a [u8]),
) -> Result<Tree<'a>, Fault> {
    if bytes.len() > TEXT_BYTES_MAX {
        return Err(Fault::TooLong);
    }
    let depth_max = limits.depth_max.min(DEPTH_MAX_CEILING);
    let builder = Builder::for_message_of(bytes.len());
    let mut decoder = Decoder { rest: bytes, bytes, builder, payload };
    decoder.value(depth_max)?;
    if !decoder.rest.is_empty() {
        return Err(Fault::Trailing { offset: decoder.offset() });
    }
    Ok(decoder.builder.finish())
}

struct Decoder<'a, P> {
    rest: &'a [u8],
    bytes: &'a [u8],
    builder: Builder<'a>,
    payload: P,
}

impl<'a, P: FnMut(&'a [u8])> Decoder<'a, P> {
    /// One value, with all that is inside. It recurses once per level.
    fn value(&mut self, depth_left: u32) -> Result<(), Fault> {
        let offset = self.offset();
        let [marker] = self.take(offset)?;
        match marker {
            0x00..=0x7f => self.builder.push(Value::unsigned(marker.into())),
            0x80..=0x8f => self.map(offset, u32::from(marker & 0x0f), depth_left)?,
            0x90..=0x9f => self.array(offset, u32::from(marker & 0x0f), depth_left)?,
            0xa0..=0xbf => self.text(offset, u32::from(marker & 0x1f))?,
            0xc0 => self.builder.push(Value::Null),
            0xc1 => return Err(Fault::Reserved { offset }),
            0xc2 | 0xc3 => self.builder.push(Value::Boolean(marker == 0xc3)),
            0xc4..=0xc6 => {
                let size = self.size(offset, marker - 0xc4)?;
                self.bin(offset, size)?;
            }
            0xc7..=0xc9 => {
                let size = self.size(offset, marker - 0xc7)?;
                self.ext(offset, size)?;
            }
            0xca => {
                let float = f32::from_be_bytes(self.take(offset)?);
                self.float(offset, float.into())?;
            }
            0xcb => {
                let float = f64::from_be_bytes(self.take(offset)?);
                self.float(offset, float)?;
            }
            0xcc..=0xcf => self.unsigned(offset, marker - 0xcc)?,
            0xd0..=0xd3 => self.signed(offset, marker - 0xd0)?,
            0xd4..=0xd8 => self.ext(offset, 1 << (marker - 0xd4))?,
            0xd9..=0xdb => {
                let size = self.size(offset, marker - 0xd9)?;
                self.text(offset, size)?;
            }
            0xdc | 0xdd => {
                let count = self.size(offset, marker - 0xdc + 1)?;
                self.array(offset, count, depth_left)?;
            }
            0xde | 0xdf => {
                let count = self.size(offset, marker - 0xde + 1)?;
                self.map(offset, count, depth_left)?;
            }
            0xe0..=0xff => self.builder.push(Value::signed(i8::from_be_bytes([marker]).into())),
        }
        Ok(())
    }

    fn array(&mut self, offset: usize, count: u32, depth_left: u32) -> Result<(), Fault> {
        let depth_left = depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
        // An element has a byte at least: more than there can be is refused before the first is read.
        self.expect(offset, count.into())?;
        let open = self.builder.open();
        for _ in 0..count {
            self.value(depth_left)?;
        }
        self.builder.close_array(open, count);
        Ok(())
    }

    fn map(&mut self, offset: usize, count: u32, depth_left: u32) -> Result<(), Fault> {
        let depth_left = depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
        self.expect(offset, u64::from(count) * 2)?;
        let mut open = self.builder.open();
        for _ in 0..count {
            self.key(depth_left)?;
            self.builder.name(&mut open);
            self.value(depth_left)?;
        }
        if self.builder.has_duplicate(&open) {
            return Err(Fault::DuplicateKey { offset });
        }
        self.builder.close_object(open, count);
        Ok(())
    }

    fn key(&mut self, depth_left: u32) -> Result<(), Fault> {
        let offset = self.offset();
        // What could be neither is refused before it is read.
        let is_name = matches!(
            self.rest.first(),
            None | Some(0x00..=0x7f | 0xa0..=0xbf | 0xc1 | 0xcc..=0xd3 | 0xd9..=0xdb | 0xe0..=0xff)
        );
        if !is_name {
            return Err(Fault::KeyType { offset });
        }
        self.value(depth_left)?;
        match self.builder.last() {
            Some(Value::Text(BIN | EXT | EXT_DATA)) => Err(Fault::ReservedKey { offset }),
            _ => Ok(()),
        }
    }

    fn text(&mut self, offset: usize, size: u32) -> Result<(), Fault> {
        let bytes = self.slice(offset, size)?;
        (self.payload)(bytes);
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::InvalidUtf8 { offset })?;
        self.builder.push(Value::Text(text));
        Ok(())
    }

    fn bin(&mut self, offset: usize, size: u32) -> Result<(), Fault> {
        let bytes = self.slice(offset, size)?;
        (self.payload)(bytes);
        let open = self.builder.open();
        self.builder.push(Value::Text(BIN));
        self.builder.push(Value::Bytes(bytes));
        self.builder.close_object(open, 1);
        Ok(())
    }

    fn ext(&mut self, offset: usize, size: u32) -> Result<(), Fault> {
        let kind = i8::from_be_bytes(self.take(offset)?);
        let bytes = self.slice(offset, size)?;
        (self.payload)(bytes);
        let open = self.builder.open();
        self.builder.push(Value::Text(EXT));
        self.builder.push(Value::signed(kind.into()));
        self.builder.push(Value::Text(EXT_DATA));
        self.builder.push(Value::Bytes(bytes));
        self.builder.close_object(open, 2);
        Ok(())
    }

    fn float(&mut self, offset: usize, float: f64) -> Result<(), Fault> {
        if !float.is_finite() {
            return Err(Fault::NotFinite { offset });
        }
        self.builder.push(Value::Number(Number::Float(float)));
        Ok(())
    }

    /// `log2`: of how many bytes it has.
    fn unsigned(&mut self, offset: usize, log2: u8) -> Result<(), Fault> {
        let value = match log2 {
            0 => u8::from_be_bytes(self.take(offset)?).into(),
            1 => u16::from_be_bytes(self.take(offset)?).into(),
            2 => u32::from_be_bytes(self.take(offset)?).into(),
            _ => u64::from_be_bytes(self.take(offset)?),
        };
        self.builder.push(Value::unsigned(value));
        Ok(())
    }

    fn signed(&mut self, offset: usize, log2: u8) -> Result<(), Fault> {
        let value = match log2 {
            0 => i8::from_be_bytes(self.take(offset)?).into(),
            1 => i16::from_be_bytes(self.take(offset)?).into(),
            2 => i32::from_be_bytes(self.take(offset)?).into(),
            _ => i64::from_be_bytes(self.take(offset)?),
        };
        self.builder.push(Value::signed(value));
        Ok(())
    }

    /// A size or count of 8, 16 or 32 bits.
    fn size(&mut self, offset: usize, log2: u8) -> Result<u32, Fault> {
        Ok(match log2 {
            0 => u8::from_be_bytes(self.take(offset)?).into(),
            1 => u16::from_be_bytes(self.take(offset)?).into(),
            _ => u32::from_be_bytes(self.take(offset)?),
        })
    }

    fn expect(&self, offset: usize, bytes: u64) -> Result<(), Fault> {
        if bytes > self.rest.len() as u64 { Err(Fault::Truncated { offset }) } else { Ok(()) }
    }

    fn slice(&mut self, offset: usize, size: u32) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(size as usize).ok_or(Fault::Truncated { offset })?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn take<const N: usize>(&mut self, offset: usize) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated { offset })?;
        self.rest = rest;
        Ok(*taken)
    }

    fn offset(&self) -> usize {
        self.bytes.len() - self.rest.len()
    }
}
