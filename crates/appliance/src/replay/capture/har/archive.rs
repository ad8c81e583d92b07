//! The way through a large JSON document to the elements of one array, without holding the others.

use std::{borrow::Cow, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// One member of an object, wherever it stands; the others are passed over.
pub(super) struct Member<S> {
    pub name: &'static str,
    pub value: S,
}

impl<'de, S: DeserializeSeed<'de, Value = ()>> DeserializeSeed<'de> for Member<S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, S: DeserializeSeed<'de, Value = ()>> Visitor<'de> for Member<S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with {:?}", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut value = Some(self.value);
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            match value.take_if(|_| name == self.name) {
                Some(value) => map.next_value_seed(value)?,
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if value.is_some() {
            return Err(A::Error::custom(format!("there is no {:?}", self.name)));
        }
        Ok(())
    }
}

/// The elements of an array, one at a time, until one of them is not taken.
pub(super) struct Elements<F>(pub F);

impl<'de, F: FnMut(&RawValue) -> bool> DeserializeSeed<'de> for Elements<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&RawValue) -> bool> Visitor<'de> for Elements<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut entries: A) -> Result<(), A::Error> {
        while let Some(text) = entries.next_element::<Box<RawValue>>()? {
            if !self.0(&text) {
                return Err(A::Error::custom("an entry has a mistake"));
            }
        }
        Ok(())
    }
}
