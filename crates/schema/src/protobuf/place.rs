//! Where messages of a type hold what names their kind: a field, or a oneof.

use super::{
    MessageType,
    types::{Cardinality, Kind, Message},
};
use crate::{
    Pointer,
    json::SchemaError,
    tree::{Tree, Value, members},
};

/// How many names an error lists.
const NAMES_MAX: usize = 16;

/// A oneof of a message: the names of its members, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oneof {
    members: Vec<Box<str>>,
}

impl Oneof {
    /// The names of its members.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|name| &**name)
    }
}

impl MessageType {
    /// The place of a field, as `/type` or `/header/kind`.
    ///
    /// # Errors
    /// [`SchemaError`] if `text` is no JSON Pointer, or no message of this type has a field there.
    pub fn place(&self, text: &str) -> Result<Pointer, SchemaError> {
        let pointer = Pointer::parse(text).map_err(|error| SchemaError::whole(error.to_string()))?;
        self.refuse_unknown(&pointer)?;
        Ok(pointer)
    }

    fn refuse_unknown(&self, pointer: &Pointer) -> Result<(), SchemaError> {
        let mut inside = self.messages.first();
        for token in pointer.tokens() {
            let field = inside.and_then(|message| message.fields.iter().find(|field| *field.name == *token));
            let Some(field) = field else { return Err(unknown_field(inside, token)) };
            // The element of a list or the entry of a map comes between: which there are is the message's matter.
            if matches!(field.cardinality, Cardinality::Repeated | Cardinality::Map) {
                return Ok(());
            }
            inside = match field.kind {
                Kind::Message(index) | Kind::Group(index) => self.message(index),
                Kind::Text | Kind::Bytes | Kind::Scalar(_) => None,
            };
        }
        Ok(())
    }

    /// The oneof called `name` of the message itself.
    ///
    /// # Errors
    /// [`SchemaError`] if there is none.
    pub fn oneof(&self, name: &str) -> Result<Oneof, SchemaError> {
        let Some(root) = self.messages.first() else { return Ok(Oneof { members: Vec::new() }) };
        let Some(place) = root.oneofs.iter().position(|own| **own == *name) else {
            let known = listed(root.oneofs.iter().map(|own| &**own));
            let message = &root.name;
            return Err(SchemaError::whole(format!("{message} has no oneof \"{name}\"; it has {known}")));
        };
        let fields = root.fields.iter().filter(|field| field.oneof == Some(place));
        let mut members: Vec<_> = fields.map(|field| field.name.clone()).collect();
        members.sort();
        Ok(Oneof { members })
    }
}

impl Tree<'_> {
    /// The name of the member that is set; `None`: none is.
    pub fn member<'o>(&self, oneof: &'o Oneof) -> Option<&'o str> {
        let (Value::Object { .. }, inside) = self.values().split_first()? else { return None };
        members(inside).find_map(|(name, _)| {
            let Value::Text(name) = name else { return None };
            let place = oneof.members.binary_search_by(|own| (**own).cmp(name)).ok()?;
            oneof.members.get(place).map(|own| &**own)
        })
    }
}

fn unknown_field(message: Option<&Message>, token: &str) -> SchemaError {
    SchemaError::whole(match message {
        None => format!("there is nothing called \"{token}\" in a field that is no message"),
        Some(message) => {
            let known = listed(message.fields.iter().map(|field| &*field.name));
            format!("{} has no field \"{token}\"; it has {known}", message.name)
        }
    })
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names: Vec<_> = names.take(NAMES_MAX + 1).collect();
    if names.len() > NAMES_MAX {
        names[NAMES_MAX] = "more";
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json::Limits, protobuf::Unknown};

    const PROTO: &str = r#"
        syntax = "proto3";
        message Envelope {
            Header header = 1;
            oneof body { Order order = 2; string note = 3; Side side = 4; }
            repeated Order orders = 5;
            map<string, Order> by_name = 6;
            optional int32 seq = 7;
        }
        message Header { string kind = 1; Side side = 2; }
        message Order { int32 price = 1; }
        enum Side { NONE = 0; BUY = 1; }
    "#;

    fn envelope() -> MessageType {
        MessageType::from_text(PROTO, "Envelope").unwrap()
    }

    #[test]
    fn places_are_those_of_the_type() {
        let envelope = envelope();
        for known in ["/header/kind", "/seq", "/orders/0/price", "/by_name/a/price", "/order"] {
            assert_eq!(envelope.place(known), Ok(Pointer::parse(known).unwrap()));
        }
        let reason = |text: &str| envelope.place(text).unwrap_err().reason;
        assert_eq!(reason("/header/typ"), "Header has no field \"typ\"; it has kind, side");
        assert_eq!(reason("/seq/x"), "there is nothing called \"x\" in a field that is no message");
        assert!(reason("/body").starts_with("Envelope has no field \"body\"; it has header, order, note"));
        assert!(reason("seq").contains("begins with `/`"));
    }

    #[test]
    fn the_member_of_a_oneof_that_counts_is_the_last() {
        let envelope = envelope();
        let oneof = envelope.oneof("body").unwrap();
        assert_eq!(oneof.members().collect::<Vec<_>>(), ["note", "order", "side"]);
        for (bytes, member) in [
            (&b""[..], None),
            (b"\x0a\x00", None),
            (b"\x12\x02\x08\x01", Some("order")),
            (b"\x1a\x00", Some("note")),
            (b"\x20\x00", Some("side")),
            (b"\x12\x02\x08\x01\x1a\x01x", Some("note")),
            (b"\x1a\x01x\x12\x00", Some("order")),
        ] {
            let tree = envelope.decode(bytes, &Limits::default(), Unknown::Reject, |_| {}).unwrap();
            assert_eq!(tree.member(&oneof), member, "{bytes:?}");
        }
        let reason = envelope.oneof("content").unwrap_err().reason;
        assert_eq!(reason, "Envelope has no oneof \"content\"; it has body");
        let order = MessageType::from_text(PROTO, "Order").unwrap();
        assert!(order.oneof("body").unwrap_err().reason.ends_with("it has none"));
    }
}
