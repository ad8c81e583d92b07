//! What is accepted, what is refused, and what a schema sees.

use super::{Fault, decode};
use crate::{json::Limits, tree::Schema};

fn fault(bytes: &[u8]) -> Option<Fault> {
    decode(bytes, &Limits::default(), |_| {}).err()
}

/// Whether the message satisfies the schema, by both ways to ask.
#[track_caller]
fn holds(bytes: &[u8], schema: &str) -> bool {
    let schema = Schema::from_text(schema, None).unwrap();
    let tree = decode(bytes, &Limits::default(), |_| {}).unwrap();
    assert_eq!(schema.is_valid(&tree), schema.check(&tree).is_ok());
    schema.is_valid(&tree)
}

#[test]
fn every_format_is_what_it_stands_for() {
    for (bytes, shown) in [
        (&b"\xc0"[..], "null"),
        (b"\xc2", "false"),
        (b"\xc3", "true"),
        (b"\x7f", "127"),
        (b"\xe0", "-32"),
        (b"\xcc\xff", "255"),
        (b"\xcd\xff\xff", "65535"),
        (b"\xce\xff\xff\xff\xff", "4294967295"),
        (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615"),
        (b"\xcf\0\0\0\0\0\0\0\x05", "5"),
        (b"\xd0\x80", "-128"),
        (b"\xd1\x80\0", "-32768"),
        (b"\xd2\x80\0\0\0", "-2147483648"),
        (b"\xd3\x80\0\0\0\0\0\0\0", "-9223372036854775808"),
        (b"\xd3\0\0\0\0\0\0\0\x05", "5"),
        (b"\xca\x3f\xc0\0\0", "1.5"),
        (b"\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1"),
        (b"\xa2hi", r#""hi""#),
        (b"\xd9\x02hi", r#""hi""#),
        (b"\xda\0\x02hi", r#""hi""#),
        (b"\xdb\0\0\0\x02hi", r#""hi""#),
        (b"\xa0", r#""""#),
        (b"\xc4\x02hi", r#"{"$bin":"aGk="}"#),
        (b"\xc5\0\x02hi", r#"{"$bin":"aGk="}"#),
        (b"\xc6\0\0\0\x02hi", r#"{"$bin":"aGk="}"#),
        (b"\xd4\x05a", r#"{"$ext":5,"$data":"YQ=="}"#),
        (b"\xd6\xff\0\0\0\0", r#"{"$ext":-1,"$data":"AAAAAA=="}"#),
        (b"\xc7\0\x05", r#"{"$ext":5,"$data":""}"#),
        (b"\x92\x01\xa1a", r#"[1,"a"]"#),
        (b"\xdc\0\x01\xc0", "[null]"),
        (b"\xdd\0\0\0\x01\xc0", "[null]"),
        (b"\x81\xa1a\x90", r#"{"a":[]}"#),
        (b"\xde\0\x01\xa1a\x80", r#"{"a":{}}"#),
        (b"\xdf\0\0\0\x01\xa1a\x80", r#"{"a":{}}"#),
        (b"\x82\x07\x01\xff\x02", r#"{"7":1,"-1":2}"#),
    ] {
        assert!(holds(bytes, &format!(r#"{{"const": {shown}}}"#)), "{bytes:02x?} {shown}");
        assert!(!holds(bytes, r#"{"const": [0]}"#), "{bytes:02x?}");
    }
}

#[test]
fn no_part_of_a_message_is_one() {
    let whole =
        b"\x86\xa1a\x93\x01\xd9\x02hi\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a\xa1b\xc4\x02hi\xa1c\xd4\x05a\
        \xa1d\xce\0\0\0\x01\x05\xc3\xa1e\xde\0\x01\xa1f\xca\x3f\xc0\0\0";
    assert_eq!(fault(whole), None);
    for end in 0..whole.len() {
        assert!(matches!(fault(&whole[..end]), Some(Fault::Truncated { .. })), "{end}");
    }
    for more in [&b"\xc0"[..], b"\0", b"\xc1", whole] {
        assert_eq!(fault(&[whole, more].concat()), Some(Fault::Trailing { offset: whole.len() }));
    }
}

#[test]
fn what_is_refused() {
    for (bytes, expected) in [
        (&b""[..], Fault::Truncated { offset: 0 }),
        (b"\xc1", Fault::Reserved { offset: 0 }),
        (b"\x91\xc1", Fault::Reserved { offset: 1 }),
        (b"\x81\xc1\xc0", Fault::Reserved { offset: 1 }),
        (b"\xa2\xc3\x28", Fault::InvalidUtf8 { offset: 0 }),
        (b"\x81\xa1\xff\xc0", Fault::InvalidUtf8 { offset: 1 }),
        (b"\xa2\xc0\xaf", Fault::InvalidUtf8 { offset: 0 }),
        (b"\xa3\xed\xa0\x80", Fault::InvalidUtf8 { offset: 0 }),
        (b"\xca\x7f\xc0\0\0", Fault::NotFinite { offset: 0 }),
        (b"\x91\xcb\x7f\xf0\0\0\0\0\0\0", Fault::NotFinite { offset: 1 }),
        (b"\x81\xc0\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\xc3\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\xca\x3f\xc0\0\0\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\xc4\x01a\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\x90\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\x80\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\xd4\x01a\xc0", Fault::KeyType { offset: 1 }),
        (b"\x81\xa4$bin\xa4aGk=", Fault::ReservedKey { offset: 1 }),
        (b"\x81\xa4$ext\x01", Fault::ReservedKey { offset: 1 }),
        (b"\x82\xa1a\x01\xa1a\x01", Fault::DuplicateKey { offset: 0 }),
        (b"\x91\x82\xa1a\x01\xd9\x01a\x01", Fault::DuplicateKey { offset: 1 }),
        (b"\x82\x01\x01\xa11\x01", Fault::DuplicateKey { offset: 0 }),
        (b"\x82\x01\x01\xcc\x01\x01", Fault::DuplicateKey { offset: 0 }),
        (b"\x82\xff\x01\xd0\xff\x01", Fault::DuplicateKey { offset: 0 }),
    ] {
        assert_eq!(fault(bytes), Some(expected), "{bytes:02x?}");
    }
}

#[test]
fn duplicates_are_found_in_maps_of_any_size() {
    for members in [2_u32, 16, 17, 1_000] {
        let mut map = vec![0xdf];
        map.extend(members.to_be_bytes());
        for name in 1..members {
            map.extend([0xce].into_iter().chain(name.to_be_bytes()).chain([0xc0]));
        }
        let (mut same, mut other) = (map.clone(), map);
        same.extend(*b"\xa11\xc0");
        other.extend(*b"\xa1x\xc0");
        assert_eq!(fault(&same), Some(Fault::DuplicateKey { offset: 0 }), "{members}");
        assert_eq!(fault(&other), None, "{members}");
        // Wide ones are looked up through an index.
        assert!(holds(&other, r#"{"required": ["x", "1"], "properties": {"1": {"type": "null"}}}"#));
        assert!(!holds(&other, r#"{"properties": {"x": {"type": "string"}}}"#));
        assert!(!holds(&other, r#"{"required": ["y"]}"#));
    }
}

/// A header that promises gigabytes is refused by what it says, and nesting by its depth; the time limit of the test run
/// would find an attempt.
#[test]
fn bombs_are_refused_from_their_headers() {
    for bomb in [
        &b"\xdd\xff\xff\xff\xff\x01"[..],
        b"\xdf\xff\xff\xff\xff\x01\x01",
        b"\xdf\x80\0\0\0\x01\x01",
        b"\xdb\xff\xff\xff\xffa",
        b"\xc6\xff\xff\xff\xffa",
        b"\xc9\xff\xff\xff\xff\x01a",
    ] {
        assert_eq!(fault(bomb), Some(Fault::Truncated { offset: 0 }), "{bomb:02x?}");
        let nested = bomb.repeat(100_000);
        assert!(matches!(fault(&nested), Some(Fault::Truncated { .. } | Fault::TooDeep)));
    }
    for unit in [&b"\x91"[..], b"\x81\xa1a", b"\xdd\0\0\0\x01", b"\xdf\0\0\0\x01\x01"] {
        assert_eq!(fault(&unit.repeat(1_000_000)), Some(Fault::TooDeep));
        let unlimited = Limits { depth_max: u32::MAX };
        let deep = unit.repeat(1_000_000);
        std::thread::Builder::new()
            .stack_size(512 * 1024)
            .spawn(move || {
                let decoded = decode(&deep, &unlimited, |_| {});
                assert_eq!(decoded.err(), Some(Fault::TooDeep));
            })
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn depth_is_counted_as_in_json() {
    let decode_within = |bytes: &[u8], depth_max| decode(bytes, &Limits { depth_max }, |_| {}).map(drop);
    assert_eq!(decode_within(b"\x01", 0), Ok(()));
    assert_eq!(decode_within(b"\x90", 0), Err(Fault::TooDeep));
    assert_eq!(decode_within(b"\x91\x80", 2), Ok(()));
    assert_eq!(decode_within(b"\x91\x80", 1), Err(Fault::TooDeep));
}

#[test]
fn the_payload_is_every_text_key_bin_and_ext() {
    let mut seen = Vec::new();
    let bytes = b"\x83\xa1k\xa1v\x05\xc4\x02\xffb\xa1e\x92\xd4\x01x\xc7\x03\x02ext";
    decode(bytes, &Limits::default(), |payload| seen.push(payload)).unwrap();
    assert_eq!(seen, [&b"k"[..], b"v", b"\xffb", b"e", b"x", b"ext"]);

    let mut before = Vec::new();
    decode(b"\x93\xa1a\xa1\xff\xc1", &Limits::default(), |payload| before.push(payload)).unwrap_err();
    assert_eq!(
        before,
        [&b"a"[..], b"\xff"],
        "what comes before a fault is seen, and a str that is not UTF-8"
    );
}

#[test]
fn binary_data_is_no_string() {
    let message = b"\x81\xa6symbol\xc4\x03\0\x10\x83";
    assert!(!holds(message, r#"{"properties": {"symbol": {"type": "string", "pattern": "^[A-Z]{1,5}$"}}}"#));
    let bin =
        r#"{"properties": {"symbol": {"required": ["$bin"], "properties": {"$bin": {"maxLength": 4}}}}}"#;
    assert!(holds(message, bin));
    assert!(holds(
        b"\xc4\x03\0\x10\x83",
        r#"{"properties": {"$bin": {"enum": ["ABCD"], "pattern": "^ABCD$"}}}"#
    ));
    assert!(!holds(b"\xc4\x03\0\x10\x84", r#"{"properties": {"$bin": {"enum": ["ABCD"]}}}"#));
    assert!(holds(b"\x92\xc4\x01a\xc4\x01b", r#"{"uniqueItems": true}"#));
    assert!(!holds(b"\x92\xc4\x01a\xc5\0\x01a", r#"{"uniqueItems": true}"#));
}

#[test]
fn numbers_are_compared_exactly() {
    assert!(!holds(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", r#"{"maximum": 18446744073709551614}"#));
    assert!(holds(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", r#"{"maximum": 18446744073709551615}"#));
    assert!(holds(b"\xca\x40\xa0\0\0", r#"{"type": "integer", "const": 5}"#));
    assert!(!holds(b"\xca\x3d\xcc\xcc\xcd", r#"{"const": 0.1}"#));
}

#[test]
fn violations_tell_where_and_not_what() {
    let schema = Schema::from_text(
        r#"{"properties": {"3": {"items": {"properties": {"pass": {"maxLength": 3}}}}}, "propertyNames": {"maxLength": 1}}"#,
        None,
    )
    .unwrap();
    let message = b"\x81\x03\x91\x81\xa4pass\xa7hunter2";
    let violation = schema.check(&decode(message, &Limits::default(), |_| {}).unwrap()).unwrap_err();
    assert_eq!((violation.pointer.as_str(), violation.keyword.as_str()), ("/3/0/pass", "maxLength"));
    assert!(!format!("{violation:?} {violation}").contains("hunter2"));
    let long = decode(b"\x81\x0a\x01", &Limits::default(), |_| {}).unwrap();
    assert_eq!(schema.check(&long).unwrap_err().keyword, "propertyNames", "an integer key has a name");
}
