//! Any bytes as a message of which a place is changed: what was a message before is one after, and no change is no change.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use wsi_schema::{
    EditFault, Edits, Literal, Operation, Pointer, Text,
    json::{self, Document, Limits},
    msgpack,
    protobuf::{Change, MessageType, Path, Unknown},
};

const PLACES: [&str; 6] = ["/a", "/*", "/a/*", "/d/a", "/i/k/a", "/m/*/a"];
/// Of the type below: any change of texts can be made at these.
const FIELDS: [&str; 6] = ["/a", "/h", "/d/a", "/i/k/a", "/m/*/a", "/m/1/h"];
const PROTO: &str = r#"syntax = "proto3";
    message Root {
        string a = 1; int32 b = 2; repeated sint64 c = 3; Root d = 4; oneof e { bool f = 5; Root g = 6; bytes h = 7; }
        map<string, Root> i = 8; repeated Root m = 12;
    }"#;
const LIMITS: Limits = Limits { depth_max: 64 };

thread_local! {
    static TYPE: OnceCell<(MessageType, Vec<[Path; 3]>)> = const { OnceCell::new() };
}

// The first byte chooses format, place and change.
fuzz_target!(|input: &[u8]| {
    let Some((&choice, bytes)) = input.split_first() else { return };
    let choice = usize::from(choice);
    let (literal, text) = (literal(), |text: Text<'_>| vec![b'*'; text.as_bytes().len() * 3 / 2]);
    let which = choice / 18 % 3;
    let operation = match which {
        0 => Operation::Remove,
        1 => Operation::Set(&literal),
        _ => Operation::Text(&text),
    };
    let place = choice / 3 % 6;
    let pointer = Pointer::parse(PLACES[place]).expect("the places here are right");
    match choice % 3 {
        0 => {
            let Ok(text) = std::str::from_utf8(bytes) else { return };
            if let Some(after) = applied(bytes, json::edit(text, &pointer, &operation, &LIMITS)) {
                let after = String::from_utf8(after).expect("UTF-8 stays UTF-8");
                assert!(Document::parse(&after, &LIMITS).is_ok());
            }
        }
        1 => {
            if let Some(after) = applied(bytes, msgpack::edit(bytes, &pointer, &operation, &LIMITS)) {
                assert!(msgpack::decode(&after, &LIMITS, |_| {}).is_ok());
            }
        }
        _ => TYPE.with(|kind| {
            let (kind, paths) = kind.get_or_init(compile);
            if let Some(after) = applied(bytes, kind.edit(bytes, &paths[place][which], &operation, &LIMITS)) {
                assert_eq!(kind.verify(&after, &LIMITS, Unknown::Allow, |_| {}), Ok(()));
            }
        }),
    }
});

fn literal() -> Literal {
    Literal::Text("\"a text\"".into())
}

fn compile() -> (MessageType, Vec<[Path; 3]>) {
    let kind = MessageType::from_text(PROTO, "Root").expect("the type here is right");
    let literal = literal();
    let paths = FIELDS.map(|at| {
        let pointer = Pointer::parse(at).expect("the places here are right");
        [Change::Remove, Change::Set(&literal), Change::Text]
            .map(|change| kind.path(&pointer, change).expect("the places here are right"))
    });
    (kind, paths.to_vec())
}

fn applied(bytes: &[u8], edits: Result<Edits, EditFault>) -> Option<Vec<u8>> {
    let edits = edits.ok()?;
    let mut after = Vec::new();
    edits.apply(bytes, &mut after);
    assert_eq!(after.len(), edits.size_after(bytes.len()));
    assert!(!edits.is_empty() || after == bytes);
    Some(after)
}
