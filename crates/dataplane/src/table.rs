//! The connections of a shard, by [`Key`].

use crate::token::{GENERATION_MASK, Key};

/// Connections in slots that are used again under a new generation.
pub(crate) struct Table<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    /// Boxed, so that the table can grow without moving connections and an empty slot stays small.
    connection: Option<Box<T>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Table<T> {
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Adds the connection that `make` gives for its key. `None`: the table is full (2^32 slots).
    pub fn insert(&mut self, make: impl FnOnce(Key) -> Box<T>) -> Option<&mut T> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, connection: None });
                index
            }
        };
        let slot = self.slots.get_mut(index as usize)?;
        Some(slot.connection.insert(make(Key { index, generation: slot.generation })))
    }

    /// Slots, in use or free.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The connection in a slot, if there is one.
    pub fn at(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot)?.connection.as_deref_mut()
    }

    pub fn find(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.connection.as_deref_mut() } else { None }
    }

    pub fn remove(&mut self, key: Key) -> Option<Box<T>> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        self.free.push(key.index);
        Some(connection)
    }

    pub fn keys(&self) -> Vec<Key> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.connection.is_some())
            .map(|(index, slot)| Key { index, generation: slot.generation })
            .collect()
    }
}
