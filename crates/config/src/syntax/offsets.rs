//! Where a place of the rewritten text lies in the user's own.

/// The rewriting keeps every length but for single bytes that it inserts; this knows where they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OffsetMap {
    /// Offsets of the inserted bytes in the rewritten text, ascending.
    inserted: Vec<usize>,
}

impl OffsetMap {
    /// `offset` is where the inserted byte stands in the rewritten text, beyond every earlier one.
    pub(crate) fn insert(&mut self, offset: usize) {
        self.inserted.push(offset);
    }

    /// The place in the user's text; an inserted byte lies where the byte after it does.
    pub(crate) fn original(&self, offset: usize) -> usize {
        offset - self.inserted.partition_point(|inserted| *inserted < offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inserted_bytes_are_taken_off() {
        let mut offsets = OffsetMap::default();
        offsets.insert(2); // "a true" -> "a #true"
        offsets.insert(8); // "a true false" -> "a #true #false"
        for (rewritten, original) in [(0, 0), (2, 2), (3, 2), (7, 6), (8, 7), (9, 7), (14, 12)] {
            assert_eq!(offsets.original(rewritten), original, "{rewritten}");
        }
    }
}
