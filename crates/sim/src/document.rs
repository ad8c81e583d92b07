//! Messages with fields: what a peer means, how it writes that, and what a change of one place makes of it.

mod voice;
mod writing;

use sha2::{Digest, Sha256};
use wsi_policy::{Change, Literal};

pub use self::voice::{Voice, Words};
use crate::random::Random;

/// How messages with fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    MessagePack,
    /// The type `sim.Message` of `schemas/sim.proto`.
    Protobuf,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(String),
    /// A text whose every character JSON writes as an escape.
    Escaped(String),
    /// MessagePack only.
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Map(Vec<(&'static str, Self)>),
}

/// A message that its receiver can read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub format: Format,
    pub value: Value,
    /// Blanks between the tokens of JSON.
    pub blank: &'static str,
}

impl Document {
    /// What no receiver can read: cut off, or with a name twice, which Protobuf allows.
    pub fn broken(mut self, random: &mut Random) -> Vec<u8> {
        if random.one_in(2)
            && self.format != Format::Protobuf
            && let Value::Map(members) = &mut self.value
            && let Some(first) = members.first().cloned()
        {
            members.push(first);
            return self.written();
        }
        let mut written = self.written();
        written.pop();
        written
    }

    /// Whether a text of it has `needle` in it.
    pub fn contains(&self, needle: &str) -> bool {
        self.value.contains(needle)
    }

    /// What its receiver finds under a name; in Protobuf there is something under any.
    pub fn field(&self, name: &str) -> Option<Value> {
        let Value::Map(members) = &self.value else { return None };
        let found = members.iter().find(|(own, _)| *own == name).map(|(_, value)| value.clone());
        let default = || if name == "seq" { Value::Integer(0) } else { Value::Text(String::new()) };
        found.or_else(|| (self.format == Format::Protobuf).then(default))
    }

    /// What it is with every value at `at`, a JSON Pointer, changed; `None`: what is there can't be changed so.
    pub fn changed(&self, at: &str, change: &Change) -> Option<Self> {
        let tokens: Vec<_> = at.split('/').skip(1).collect();
        let mut changed = self.clone();
        self::change(&mut changed.value, &tokens, change)?;
        Some(changed)
    }
}

impl Value {
    fn contains(&self, needle: &str) -> bool {
        match self {
            Self::Text(text) | Self::Escaped(text) => text.contains(needle),
            Self::List(elements) => elements.iter().any(|element| element.contains(needle)),
            Self::Map(members) => members.iter().any(|(_, value)| value.contains(needle)),
            Self::Null | Self::Boolean(_) | Self::Integer(_) | Self::Bytes(_) => false,
        }
    }

    /// What names a type or a stream.
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Text(text) | Self::Escaped(text) => Some(text.clone()),
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Boolean(boolean) => Some(boolean.to_string()),
            Self::Null | Self::Bytes(_) | Self::List(_) | Self::Map(_) => None,
        }
    }
}

fn change(value: &mut Value, tokens: &[&str], change: &Change) -> Option<()> {
    let [token, rest @ ..] = tokens else { return alter(value, change) };
    match value {
        Value::Map(members) if rest.is_empty() && *change == Change::Remove => {
            members.retain(|(name, _)| name != token);
            Some(())
        }
        Value::Map(members) => {
            let mut meant = members.iter_mut().filter(|(name, _)| name == token);
            meant.try_for_each(|(_, value)| self::change(value, rest, change))
        }
        Value::List(elements) if *token == "*" => {
            elements.iter_mut().try_for_each(|element| self::change(element, rest, change))
        }
        _ => Some(()),
    }
}

fn alter(value: &mut Value, change: &Change) -> Option<()> {
    if let Change::Set(literal) = change {
        *value = match literal {
            Literal::Null => Value::Null,
            Literal::Boolean(boolean) => Value::Boolean(*boolean),
            Literal::Integer(integer) => Value::Integer(*integer),
            Literal::Text(text) => Value::Text(text.clone()),
            Literal::Float(_) => return None,
        };
        return Some(());
    }
    let text = match value {
        Value::Null => return Some(()),
        Value::Bytes(bytes) => {
            *bytes = match change {
                Change::Mask { keep_last } => {
                    let kept = if bytes.len() > *keep_last { *keep_last } else { 0 };
                    let hidden = bytes.len() - kept;
                    [&vec![b'*'; hidden], &bytes[hidden..]].concat()
                }
                Change::Hash(key) => hmac(key.secret(), bytes).into_bytes(),
                Change::Remove | Change::Set(_) => return None,
            };
            return Some(());
        }
        Value::Text(text) | Value::Escaped(text) => text.clone(),
        Value::Boolean(_) | Value::Integer(_) | Value::List(_) | Value::Map(_) => return None,
    };
    let becomes = match change {
        Change::Mask { keep_last } => mask(&text, *keep_last),
        Change::Hash(key) => hmac(key.secret(), text.as_bytes()),
        Change::Remove | Change::Set(_) => return None,
    };
    if becomes != text {
        *value = Value::Text(becomes);
    }
    Some(())
}

fn mask(text: &str, keep_last: usize) -> String {
    let count = text.chars().count();
    let kept = if count > keep_last { keep_last } else { 0 };
    let hidden = (0..count - kept).map(|_| '*');
    hidden.chain(text.chars().skip(count - kept)).collect()
}

/// The first half of HMAC-SHA-256 (RFC 2104 section 2), in hexadecimal digits. The key is no longer than a block.
fn hmac(key: &[u8], text: &[u8]) -> String {
    let padded =
        |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or_default() ^ with).collect() };
    let inner = Sha256::digest([&padded(0x36)[..], text].concat());
    let outer = Sha256::digest([&padded(0x5c)[..], &inner].concat());
    outer[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}
