//! Messages that look like attacks and are none: they must arrive as they were sent.

use wsi_config::policy::Direction;

use super::{Bounds, Class};
use crate::selftest::{
    deflate::{Blocks, message},
    frames::{BINARY, FIN, Framer, PONG, RSV1, TEXT, singles},
    trial::{After, Expect, Variant},
};

const TEXTS: [&str; 32] = [
    "hello; see you at 8",
    "a | b",
    "price && qty",
    "run `cargo build` first",
    "```js\nconst total = a + b;\n```",
    "ticket #",
    "ticket #4711",
    "0xdeadbeef",
    "dash --",
    "only = 3",
    "Scunthorpe",
    "Penistone and Lightwater",
    "if (a < b && c > d)",
    "select a union rep",
    "please select one from the list",
    "drop me a line; the table is set",
    "5 < 6 > 4",
    "it's 1 or 1 of them",
    "O'Brien -- the elder",
    "on click, open the menu",
    "javascript is a language",
    "an image of a script",
    "cat /dev/random is a joke",
    "$5 (five dollars)",
    "https://example.com/?a=1&b=2#c",
    "C:\\Users\\me\\file.txt",
    "100% | 50%",
    "<3",
    " ",
    "👩‍👩‍👧‍👦 and 🏳️‍🌈",
    "שלום; مرحبا && 你好",
    "a\tb\r\nc",
];

/// All of it, in one direction.
pub(in crate::selftest) fn all(direction: Direction, bounds: Bounds) -> Vec<Variant> {
    let mut variants = Vec::new();
    for text in TEXTS.into_iter().filter(|text| text.len() as u64 <= bounds.message_size_max) {
        variants.extend(of(direction, bounds, text));
    }
    variants.extend(of(direction, bounds, ""));
    let framer = Framer::new(direction);
    for code in [None, Some(1000), Some(1001), Some(3000), Some(4999)] {
        let wire = match code {
            None => framer.frame(FIN | crate::selftest::frames::CLOSE, b""),
            Some(code) => framer.close(code, b"bye"),
        };
        let name = code.map_or_else(|| "without a code".to_owned(), |code| code.to_string());
        let passes = passes(direction, "closes", &name, wire, Vec::new(), Vec::new());
        variants.push(Variant { after: After::Silence, ..passes });
    }
    let pong = (PONG, b"unasked".to_vec());
    let wire = framer.frame(FIN | PONG, &pong.1);
    variants.push(passes(
        direction,
        "control frames",
        "a pong that nobody asked for",
        wire,
        vec![],
        vec![pong],
    ));
    variants
}

fn of(direction: Direction, bounds: Bounds, text: &str) -> Vec<Variant> {
    let framer = Framer::new(direction);
    let bytes = text.as_bytes();
    let message_of = |opcode| vec![(opcode, bytes.to_vec())];
    let variant = |group, wire, opcode| {
        passes(direction, group, &format!("{text:?}"), wire, message_of(opcode), Vec::new())
    };
    let mut variants = vec![
        variant("text", framer.text(bytes), TEXT),
        variant("binary", framer.frame(FIN | BINARY, bytes), BINARY),
    ];
    if !bytes.is_empty() && bytes.len() as u64 <= bounds.fragments_max {
        variants.push(variant("one byte a fragment", framer.fragments(TEXT, &singles(bytes)), TEXT));
        let compressed = framer.frame(FIN | RSV1 | TEXT, &message(Blocks::Fixed, bytes));
        variants.push(Variant { compressed: true, ..variant("compressed", compressed, TEXT) });
    }
    variants
}

fn passes(
    direction: Direction,
    group: &'static str,
    name: &str,
    wire: Vec<u8>,
    messages: Vec<(u8, Vec<u8>)>,
    controls: Vec<(u8, Vec<u8>)>,
) -> Variant {
    Variant {
        class: Class::Benign,
        group,
        name: name.to_owned(),
        direction,
        wire,
        compressed: false,
        after: After::Pong,
        token: Vec::new(),
        expect: Expect::Passes { messages, controls },
    }
}
