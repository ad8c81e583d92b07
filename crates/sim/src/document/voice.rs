//! What peers say.

use super::{Document, Format, Value};
use crate::random::Random;

/// What one peer says, one document after the other.
#[derive(Clone, Debug)]
pub struct Voice {
    pub format: Format,
    /// Of each stream, the last number.
    numbers: [i64; 3],
}

/// Types of messages; no state knows the last one.
const KINDS: [&str; 7] = ["login", "order", "order", "order", "fill", "logout", "hello"];
const STREAMS: [Option<&str>; 3] = [None, Some("a"), Some("b")];
/// Texts, of which some say the same.
const SAYINGS: [&str; 13] = [
    "buy now",
    "BUY  now!!!",
    "b-u-yyy NOW 42",
    "sell",
    "s e l l",
    "s\u{435}ll",
    "\u{ff33}\u{ff25}LL",
    "s\u{200b}ell",
    "Straße",
    "STRASSE",
    "!!",
    "1",
    "",
];
const ACCOUNTS: [&str; 7] =
    ["acc-1", "4111 1111 1111 1111", "é€🦀", "\"quoted\" \\ too", "", "**", "gone \"for\" good"];

/// What is said in a document, where it does not matter what.
#[derive(Clone, Debug, Default)]
pub struct Words {
    pub text: Option<Value>,
    pub account: Option<Value>,
    pub filler: String,
}

impl Voice {
    pub fn new(format: Format) -> Self {
        Self { format, numbers: [0; 3] }
    }

    pub fn document(&mut self, words: Words, random: &mut Random) -> Document {
        let mut members = Vec::new();
        if !random.one_in(20) {
            members.push(("type", written(random.pick(&KINDS), random)));
        }
        let stream = random.below(STREAMS.len());
        if let Some(stream) = STREAMS[stream] {
            members.push(("stream", written(stream, random)));
        }
        if !random.one_in(15) {
            let last = &mut self.numbers[stream];
            let number = *last + random.pick(&[1, 1, 1, 1, 1, 1, 2, 3, 0, -1]);
            *last = number.max(*last);
            members.push(("seq", self.number(number, random)));
        }
        let text = words.text.unwrap_or_else(|| written(random.pick(&SAYINGS), random));
        members.push(("text", text));
        match words.account {
            Some(account) => members.push(("account", account)),
            None if random.one_in(3) => {}
            None => members.push(("account", self.account(random))),
        }
        if random.one_in(2) {
            let id = written(random.pick(&ACCOUNTS), random);
            members.push(("user", Value::Map(if random.one_in(4) { Vec::new() } else { vec![("id", id)] })));
        }
        if random.one_in(2) {
            let items = (0..random.below(4)).map(|_| item(random)).collect();
            members.push(("items", Value::List(items)));
        }
        if !words.filler.is_empty() {
            members.push(("filler", Value::Text(words.filler)));
        }
        shuffle(&mut members, random);
        let blank = random.pick(&["", "", " ", "\t\n"]);
        Document { format: self.format, value: Value::Map(members), blank }
    }

    fn account(&self, random: &mut Random) -> Value {
        let text = written(random.pick(&ACCOUNTS), random);
        match (self.format, random.below(12)) {
            (Format::Protobuf, _) => text,
            (_, 0) => Value::Null,
            (_, 1) => Value::Integer(7),
            (Format::MessagePack, 2) => Value::Bytes(random.bytes(9)),
            _ => text,
        }
    }

    fn number(&self, number: i64, random: &mut Random) -> Value {
        match (self.format, random.below(20)) {
            (Format::Protobuf, _) | (_, 4..) => Value::Integer(number),
            (_, 0 | 1) => Value::Text(number.to_string()),
            (_, 2) => Value::Boolean(true),
            _ => Value::Text("one".to_owned()),
        }
    }
}

fn item(random: &mut Random) -> Value {
    let tag = ("tag", written(random.pick(&ACCOUNTS), random));
    let count = ("count", Value::Integer(random.pick(&[0, 1, 300])));
    let mut members = if random.one_in(5) { vec![count] } else { vec![tag, count] };
    shuffle(&mut members, random);
    Value::Map(members)
}

fn written(text: &str, random: &mut Random) -> Value {
    if random.one_in(6) { Value::Escaped(text.to_owned()) } else { Value::Text(text.to_owned()) }
}

fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at + 1));
    }
}
