use super::Fault;

/// The largest field number: 2^29 - 1.
const NUMBER_MAX: u64 = (1 << 29) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint,
    Fixed64,
    Length,
    GroupStart,
    GroupEnd,
    Fixed32,
}

/// What begins a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tag {
    pub number: u32,
    pub wire: WireType,
    /// Where it begins, in bytes from the start of the message.
    pub offset: usize,
}

/// Reads the wire format, within one message or sub-message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Where `rest` ends, in bytes from the start of the whole message.
    end: usize,
}

impl<'a> Reader<'a> {
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message, end: message.len() }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn offset(&self) -> usize {
        self.end - self.rest.len()
    }

    #[inline]
    pub fn tag(&mut self) -> Result<Tag, Fault> {
        let offset = self.offset();
        let key = self.varint(offset)?;
        let number = key >> 3;
        if number == 0 || number > NUMBER_MAX {
            return Err(Fault::FieldNumber { offset });
        }
        // It has 29 bits.
        let number = number as u32;
        let wire = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Length,
            3 => WireType::GroupStart,
            4 => WireType::GroupEnd,
            5 => WireType::Fixed32,
            _ => return Err(Fault::WireType { number, offset }),
        };
        Ok(Tag { number, wire, offset })
    }

    /// A varint in its shortest form. `offset`: of the field that it belongs to.
    #[inline]
    pub fn varint(&mut self, offset: usize) -> Result<u64, Fault> {
        match self.rest {
            [byte @ 0..=0x7f, rest @ ..] => {
                self.rest = rest;
                Ok((*byte).into())
            }
            _ => self.long_varint(offset),
        }
    }

    fn long_varint(&mut self, offset: usize) -> Result<u64, Fault> {
        const LEN_MAX: usize = 10;
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(LEN_MAX).enumerate() {
            let bits = u64::from(byte & 0x7f);
            value |= bits << (7 * at);
            if byte & 0x80 == 0 {
                // The last byte adds something, and of ten bytes the last has one bit.
                let is_shortest = *byte != 0 || at == 0;
                let fits = at + 1 < LEN_MAX || *byte == 1;
                if !is_shortest || !fits {
                    return Err(Fault::OverlongVarint { offset });
                }
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(value);
            }
        }
        Err(if self.rest.len() < LEN_MAX {
            Fault::Truncated { offset }
        } else {
            Fault::OverlongVarint { offset }
        })
    }

    pub fn fixed<const N: usize>(&mut self, offset: usize) -> Result<[u8; N], Fault> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Fault::Truncated { offset })?;
        self.rest = rest;
        Ok(*taken)
    }

    /// What a length stands before, to be read apart.
    #[inline]
    pub fn length_delimited(&mut self, offset: usize) -> Result<Reader<'a>, Fault> {
        let size = usize::try_from(self.varint(offset)?).map_err(|_| Fault::Truncated { offset })?;
        let (taken, rest) = self.rest.split_at_checked(size).ok_or(Fault::Truncated { offset })?;
        self.rest = rest;
        Ok(Reader { rest: taken, end: self.end - rest.len() })
    }

    /// Moves past a field whose content is of no interest. Groups nest at most `depth_left` deep. `payload` is given what
    /// is length-delimited.
    pub fn skip(
        &mut self,
        tag: Tag,
        depth_left: u32,
        payload: &mut impl FnMut(&'a [u8]),
    ) -> Result<(), Fault> {
        match tag.wire {
            WireType::Varint => self.varint(tag.offset).map(drop),
            WireType::Fixed64 => self.fixed::<8>(tag.offset).map(drop),
            WireType::Fixed32 => self.fixed::<4>(tag.offset).map(drop),
            WireType::Length => {
                payload(self.length_delimited(tag.offset)?.rest);
                Ok(())
            }
            WireType::GroupEnd => Err(Fault::Group { offset: tag.offset }),
            WireType::GroupStart => {
                let depth_left = depth_left.checked_sub(1).ok_or(Fault::TooDeep)?;
                loop {
                    if self.is_empty() {
                        return Err(Fault::Group { offset: tag.offset });
                    }
                    let inner = self.tag()?;
                    match inner.wire {
                        WireType::GroupEnd if inner.number == tag.number => return Ok(()),
                        _ => self.skip(inner, depth_left, payload)?,
                    }
                }
            }
        }
    }
}
