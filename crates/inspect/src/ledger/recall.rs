//! A bounded memory by key.

/// Values of as many keys as there may be; for one more, the one that was not used longest is forgotten. Keys are looked for one by
/// one: there are some hundreds at most that live.
#[derive(Debug)]
pub(crate) struct Recall<V> {
    keys: Vec<u64>,
    /// And when each was used last, in uses.
    values: Vec<(u64, V)>,
    keys_max: usize,
    uses: u64,
}

impl<V: Copy> Recall<V> {
    pub fn new(keys_max: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), keys_max: keys_max.max(1), uses: 0 }
    }

    pub fn get(&self, key: u64) -> Option<V> {
        let at = self.keys.iter().position(|own| *own == key)?;
        self.values.get(at).map(|(_, value)| *value)
    }

    pub fn put(&mut self, key: u64, value: V) {
        self.uses += 1;
        let entry = (self.uses, value);
        if let Some(at) = self.keys.iter().position(|own| *own == key) {
            self.values[at] = entry;
        } else if self.keys.len() < self.keys_max {
            self.keys.push(key);
            self.values.push(entry);
        } else {
            let oldest = self.values.iter().enumerate().min_by_key(|(_, (used, _))| *used);
            let at = oldest.map_or(0, |(at, _)| at);
            (self.keys[at], self.values[at]) = (key, entry);
        }
    }

    /// Bytes.
    pub fn memory_size(&self) -> u64 {
        (self.keys.capacity() * size_of::<u64>() + self.values.capacity() * size_of::<(u64, V)>()) as u64
    }

    /// Bytes.
    pub fn memory_size_max(keys_max: u64) -> u64 {
        // It doubles when it grows, from four on.
        2 * keys_max.max(4) * (size_of::<u64>() + size_of::<(u64, V)>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_one_not_used_longest_goes() {
        let mut recall = Recall::new(3);
        for key in [1, 2, 3, 1, 4] {
            recall.put(key, key * 10);
        }
        assert_eq!([1, 2, 3, 4].map(|key| recall.get(key)), [Some(10), None, Some(30), Some(40)]);
        recall.put(3, 31);
        recall.put(5, 50);
        assert_eq!([1, 3, 4, 5].map(|key| recall.get(key)), [None, Some(31), Some(40), Some(50)]);
    }

    proptest! {
        #[test]
        fn as_a_list_in_order_of_use(
            keys_max in 1..6usize,
            puts in prop::collection::vec((0..9u64, any::<u32>()), 0..80),
        ) {
            let mut recall = Recall::new(keys_max);
            let mut list: Vec<(u64, u32)> = Vec::new();
            for (key, value) in puts {
                recall.put(key, value);
                list.retain(|(own, _)| *own != key);
                list.push((key, value));
                if list.len() > keys_max {
                    list.remove(0);
                }
                for key in 0..9 {
                    let expected = list.iter().find(|(own, _)| *own == key).map(|(_, value)| *value);
                    prop_assert_eq!(recall.get(key), expected);
                }
                prop_assert!(recall.memory_size() <= Recall::<u32>::memory_size_max(keys_max as u64));
            }
        }
    }
}
