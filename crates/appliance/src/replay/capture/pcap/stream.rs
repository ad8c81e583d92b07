//! What one endpoint of a TCP connection sent, in order (RFC 9293 section 3.4).

use std::collections::BTreeMap;

/// What is kept of segments that came before those in front of them: bytes, and pieces.
const PENDING_SIZE_MAX: usize = 4 << 20;
const PENDING_PIECES_MAX: usize = 16_384;

/// One direction of a connection. Of bytes that came several times the first are taken, also where later ones differ.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The sequence number of the next byte. `None`: nothing came yet.
    next: Option<u32>,
    /// Bytes that were given out.
    given: u64,
    /// What lies beyond a gap, by its place in the stream. Pieces do not overlap.
    pending: BTreeMap<u64, Vec<u8>>,
    pending_size: usize,
    /// How many bytes there are in all, once that is known.
    size: Option<u64>,
}

/// So much is missing that it will not come any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gap;

impl Stream {
    /// The sequence number of the first byte.
    pub fn begin(&mut self, sequence: u32) {
        self.next.get_or_insert(sequence);
    }

    /// Whether it began with this sequence number and nothing was given out since.
    pub fn begins_with(&self, sequence: u32) -> bool {
        self.next.is_some_and(|next| next.wrapping_sub(self.given as u32) == sequence)
    }

    /// Nothing comes after the byte before `sequence`.
    pub fn end(&mut self, sequence: u32) {
        if let Some(place) = self.place(sequence) {
            self.size.get_or_insert(place.max(self.given));
        }
    }

    /// Everything has been given out.
    pub fn is_over(&self) -> bool {
        self.size == Some(self.given)
    }

    /// How many bytes are missing, if any are.
    pub fn missing(&self) -> Option<u64> {
        let end = self.pending.keys().next().copied().or(self.size)?;
        (end > self.given).then(|| end - self.given)
    }

    /// Takes a segment's payload; gives what is next in the stream.
    ///
    /// # Errors
    /// What is missing has not come although much came after it.
    pub fn take(&mut self, sequence: u32, payload: &[u8]) -> Result<Vec<u8>, Gap> {
        self.next.get_or_insert(sequence);
        let next = self.next.unwrap_or(sequence);
        // Sequence numbers wrap: what seems far ahead is behind.
        let behind = u64::from(next.wrapping_sub(sequence));
        let (place, payload) = if behind <= u64::from(i32::MAX as u32) {
            (self.given, payload.get(behind as usize..).unwrap_or_default())
        } else {
            (self.given + u64::from(sequence.wrapping_sub(next)), payload)
        };
        self.keep(place, payload);
        let mut ready = Vec::new();
        while let Some(piece) = self.pending.remove(&self.given) {
            self.given += piece.len() as u64;
            self.next = self.next.map(|next| next.wrapping_add(piece.len() as u32));
            self.pending_size -= piece.len();
            ready.extend(piece);
        }
        let is_full = self.pending_size > PENDING_SIZE_MAX || self.pending.len() > PENDING_PIECES_MAX;
        if is_full && ready.is_empty() { Err(Gap) } else { Ok(ready) }
    }

    /// Keeps what of `payload` is not there yet.
    fn keep(&mut self, mut place: u64, mut payload: &[u8]) {
        while !payload.is_empty() {
            let before = self.pending.range(..=place).next_back();
            let covered =
                before.map_or(0, |(start, piece)| (start + piece.len() as u64).saturating_sub(place));
            if covered > 0 {
                let covered = usize::try_from(covered).unwrap_or(usize::MAX).min(payload.len());
                payload = &payload[covered..];
                place += covered as u64;
                continue;
            }
            let room = self.pending.range(place..).next().map_or(u64::MAX, |(start, _)| start - place);
            let (own, rest) =
                payload.split_at(usize::try_from(room).unwrap_or(usize::MAX).min(payload.len()));
            self.pending.insert(place, own.to_vec());
            self.pending_size += own.len();
            place += own.len() as u64;
            payload = rest;
        }
    }

    fn place(&self, sequence: u32) -> Option<u64> {
        let ahead = i64::from(sequence.wrapping_sub(self.next?) as i32);
        Some(self.given.saturating_add_signed(ahead))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_bytes_win_and_gaps_are_known() {
        let mut stream = Stream::default();
        stream.begin(u32::MAX - 1);
        assert!(stream.begins_with(u32::MAX - 1));
        assert_eq!(stream.take(2, b"EFG").unwrap(), b"");
        assert_eq!(stream.missing(), Some(4));
        // Overlaps what is there on both sides, and says something else.
        assert_eq!(stream.take(0, b"cdxxxhi").unwrap(), b"");
        assert_eq!(stream.take(u32::MAX - 1, b"abyy").unwrap(), b"abcdEFGhi");
        assert_eq!(stream.take(u32::MAX - 1, b"zzzz").unwrap(), b"", "it was given out");
        assert_eq!(stream.missing(), None);
        stream.end(10);
        assert_eq!((stream.missing(), stream.is_over()), (Some(3), false));
        assert_eq!(stream.take(7, b"jkl").unwrap(), b"jkl");
        assert!(stream.is_over());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut stream = Stream::default();
        stream.begin(0);
        let mut sequence = 1_u32;
        let gap = loop {
            match stream.take(sequence, &[0; 65_000]) {
                Ok(ready) => assert!(ready.is_empty()),
                Err(gap) => break gap,
            }
            sequence += 65_000;
        };
        assert_eq!(gap, Gap);
        assert!(sequence < 5 << 20);

        let mut stream = Stream::default();
        stream.begin(0);
        let pieces = (1..).take_while(|piece| stream.take(piece * 2, b"x").is_ok()).count();
        assert_eq!(pieces, PENDING_PIECES_MAX);
    }

    proptest! {
        #[test]
        fn any_order_and_overlap_gives_the_stream(
            start: u32,
            size in 1..200_usize,
            cuts in proptest::collection::vec((any::<proptest::sample::Index>(), 1..40_usize), 1..60),
        ) {
            let bytes: Vec<u8> = (0..size).map(|at| at as u8).collect();
            let mut stream = Stream::default();
            stream.begin(start);
            let mut given = Vec::new();
            let rest = (0..size).step_by(7).rev().map(|at| (at, 7));
            for (at, length) in cuts.iter().map(|(at, length)| (at.index(size), *length)).chain(rest) {
                let piece = &bytes[at..size.min(at + length)];
                given.extend(stream.take(start.wrapping_add(at as u32), piece).unwrap());
                prop_assert_eq!(&given, &bytes[..given.len()]);
            }
            prop_assert_eq!(given, bytes);
            prop_assert!(stream.pending.is_empty() && stream.pending_size == 0);
        }
    }
}
