//! What is undone and shown; JSON against serde_json where the text is a valid JSON string.
#![cfg(test)]

use std::{fmt::Write, ops::ControlFlow};

use proptest::prelude::*;
use wsi_scan::normalize::{Buffers, Kinds, Normalizer, Outcome, undo};

const DEFAULT: Kinds = Kinds::ESCAPES.union(Kinds::UNICODE);
const ALL: Kinds = DEFAULT.union(Kinds::BASE64);

fn undone(kinds: Kinds, text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    let undone = undo(kinds, text.as_ref(), true, Kinds::NONE, &mut out);
    assert_eq!((undone.consumed, undone.stopped), (text.as_ref().len(), false));
    assert!(!undone.kinds.is_empty() || out == text.as_ref());
    out
}

fn json(text: impl AsRef<[u8]>) -> Vec<u8> {
    undone(Kinds::JSON, text)
}

/// All views but the text itself, and whether they are complete.
fn views(sets: &[Kinds], depth_max: u32, text: impl AsRef<[u8]>) -> (Vec<(Vec<u8>, Kinds)>, bool) {
    let mut seen = Vec::new();
    let normalizer = Normalizer::new(sets.iter().copied(), depth_max);
    let outcome = normalizer.views(text.as_ref(), &mut Buffers::default(), |view, kinds| {
        seen.push((view.to_vec(), kinds));
        ControlFlow::<()>::Continue(())
    });
    let size = seen.iter().map(|(view, _)| view.len() as u64).sum::<u64>() + text.as_ref().len() as u64;
    assert!(size <= normalizer.shown_size_max(text.as_ref().len()));
    (seen, outcome == Outcome::Complete)
}

fn texts(kinds: Kinds, depth_max: u32, text: &str) -> Vec<String> {
    let (views, _) = views(&[kinds], depth_max, text);
    views.into_iter().map(|(view, _)| String::from_utf8_lossy(&view).into_owned()).collect()
}

fn shows(kinds: Kinds, text: &str, wanted: &str) -> bool {
    texts(kinds, 4, text).iter().any(|view| view.contains(wanted))
}

#[test]
fn every_escape_of_json_is_undone() {
    assert_eq!(json(br#"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\u0000"#), "\"\\/\u{8}\u{c}\n\r\tAé€\0".as_bytes());
    assert_eq!(json(r#"{"a":"\u003cscript\u003E"}"#), br#"{"a":"<script>"}"#);
}

#[test]
fn surrogates_are_joined_or_replaced() {
    assert_eq!(json(r"\ud83d\ude00 \uD83D\uDE00"), "😀 😀".as_bytes());
    assert_eq!(json(r"\ud83d"), "\u{fffd}".as_bytes());
    assert_eq!(json(r"\ude00\ud83d"), "\u{fffd}\u{fffd}".as_bytes());
    assert_eq!(json(r"\ud83d\u0041"), "\u{fffd}A".as_bytes());
    assert_eq!(json(r"\ud83d\ud83d\ude00"), "\u{fffd}😀".as_bytes());
    assert_eq!(json(r"\ud83d\n"), "\u{fffd}\n".as_bytes());
    assert_eq!(json(r"\ud83d\ude0"), b"\xef\xbf\xbd\\ude0");
    assert_eq!(undone(Kinds::PERCENT, "%ud83d%uDE00 %u0041%ud83d"), "😀 A\u{fffd}".as_bytes());
}

#[test]
fn malformed_escapes_stay() {
    for text in
        [r"\", r"\u", r"\u00", r"\u00g0", r"\x41", r"\U0041", r"\u+041", r"C:\Users", r"\é", "\\\u{0}"]
    {
        assert_eq!(json(text), text.as_bytes());
    }
    assert_eq!(json(r"\x\n\q\"), b"\\x\n\\q\\");
    assert_eq!(json(b"\\\xff\\n\xff"), b"\\\xff\n\xff");
    assert_eq!(json(r"\u00\u0041"), br"\u00A");
    for text in
        ["%", "%4", "%4g", "50% off", "100%", "%u", "%u00", "%u00g0", "%%", "&", "&;", "&#", "&#;", "&#x"]
    {
        assert_eq!(undone(Kinds::ESCAPES, text), text.as_bytes());
    }
    for text in ["&#xg", "&unknown;", "AT&T;", "a && b", "&am", "&l;t", "&Tab", "&#x;"] {
        assert_eq!(undone(Kinds::ESCAPES, text), text.as_bytes());
    }
}

#[test]
fn an_escaped_backslash_does_not_escape_again() {
    assert_eq!(json(r"\\u003c"), br"\u003c");
    assert_eq!(json(r"\\\u003c"), br"\<");
}

#[test]
fn percent_gives_bytes() {
    assert_eq!(undone(Kinds::PERCENT, "%3Cscript%3e %E2%82%AC%ff"), b"<script> \xe2\x82\xac\xff");
    assert_eq!(undone(Kinds::PERCENT, "%253c a+b"), b"%3c a+b");
}

#[test]
fn references_are_read_as_browsers_do() {
    for text in [
        "&lt;",
        "&LT;",
        "&lt",
        "&#60;",
        "&#60",
        "&#x3c;",
        "&#X3C",
        "&#0000000060;",
        "&#x000000000000000000000003c;",
    ] {
        assert_eq!(undone(Kinds::HTML, format!("{text} ")), b"< ", "{text}");
        assert_eq!(undone(Kinds::HTML, format!("{text}s")), b"<s".as_slice(), "{text}");
    }
    assert_eq!(undone(Kinds::HTML, "java&Tab;script&colon;a&lpar;1&rpar;"), b"java\tscript:a(1)");
    assert_eq!(undone(Kinds::HTML, "&amp;lt;"), b"&lt;");
    assert_eq!(undone(Kinds::HTML, "&#0;&#xd800;&#x110000;&#99999999999;"), "\u{fffd}".repeat(4).as_bytes());
}

#[test]
fn only_the_kinds_asked_for_are_undone() {
    let text = r"\u0041 %41 &#65;";
    assert_eq!(json(text), b"A %41 &#65;");
    assert_eq!(undone(Kinds::PERCENT, text), br"\u0041 A &#65;");
    assert_eq!(undone(Kinds::HTML, text), br"\u0041 %41 A");
    assert_eq!(undone(Kinds::ESCAPES, text), b"A A A");
    assert_eq!(undone(Kinds::NONE, text), text.as_bytes());
    assert_eq!(views(&[Kinds::NONE], 4, text), (vec![], true));
}

#[test]
fn nesting_is_undone_layer_by_layer_to_its_limit() {
    let text = r"\\\\\\\\u003c";
    assert_eq!(texts(Kinds::JSON, 2, text), [r"\\\\u003c", r"\\u003c"]);
    assert_eq!(texts(Kinds::JSON, 8, text), [r"\\\\u003c", r"\\u003c", r"\u003c", "<"]);
    assert_eq!(texts(Kinds::JSON, 8, "plain"), [""; 0]);
}

#[test]
fn what_hides_too_deep_is_told() {
    let complete = |depth, text: &str| views(&[ALL], depth, text).1;
    for (nested, layers) in
        [("%2525253c", 4), (r"\\\\\\\\u003c", 4), ("&amp;amp;amp;lt;", 4), (r"%5cu0026%23x33;", 3)]
    {
        assert!(complete(layers, nested), "{nested}");
        assert!(!complete(layers - 1, nested), "{nested}");
    }
    assert!(complete(1, r#"\\\\\\\\\\"\"\/"#), "a backslash that protects one hides nothing");
    let thrice = "ZDI5eWEzTTZaWFpoYkNneEtRPT0gICAgICAgIA==";
    assert!(complete(3, thrice) && !complete(1, thrice));
    assert!(complete(1, "information_schema/and/a/long/path/of/words"));
}

/// `benchmark(` where `%be` is a byte to one reader and two letters to another.
#[test]
fn readers_of_one_kind_are_served_too() {
    let text = r"%benchmar\u006b(";
    assert!(shows(Kinds::ESCAPES, text, "%benchmark("));
    assert!(shows(Kinds::ESCAPES, r"\u0025benchmar\\u006b(%41", "%benchmark(%41"));
    assert!(shows(Kinds::ESCAPES, r"\benchmark%28", r"\benchmark("));
    assert!(shows(Kinds::ESCAPES, "javascript://%0aalert&lpar;1)", "javascript://%0aalert(1)"));
    assert!(!shows(Kinds::JSON.union(Kinds::PERCENT), "&#37;41", "A"));
}

/// Layers that are the same to several readers are shown once.
#[test]
fn no_view_is_shown_twice() {
    for text in [
        r"\u003c\\u003d\\\\u003e",
        "%253c",
        r"\\u0041 \u0042 %43",
        r"%43 \\u0041",
        r"\\%43 \u0041",
        "plain",
        r"\\\\%2541",
    ] {
        let (seen, _) = views(&[Kinds::ESCAPES, Kinds::PERCENT, Kinds::JSON], 4, text);
        let mut views: Vec<_> = seen.iter().map(|(view, _)| view).collect();
        views.sort();
        views.dedup();
        assert_eq!(views.len(), seen.len(), "{text}: {seen:?}");
        for (view, _) in &seen {
            assert_ne!(view, text.as_bytes());
        }
    }
}

#[test]
fn each_set_of_kinds_is_read_apart() {
    let kinds_of = |wanted: &str, text| -> Vec<String> {
        let (seen, _) = views(&[Kinds::PERCENT, DEFAULT], 4, text);
        let shown = seen.into_iter().filter(|(view, _)| view == wanted.as_bytes());
        shown.map(|(_, kinds)| kinds.to_string()).collect()
    };
    assert_eq!(kinds_of(r"\benchmark(", r"\benchmark%28"), ["percent"]);
    assert_eq!(kinds_of("\u{8}enchmark(", r"\benchmark%28"), ["json+percent"]);
    assert_eq!(kinds_of("\u{8}enchmark%28", r"\benchmark%28"), ["json"]);
}

#[test]
fn unicode_disguises_are_folded() {
    for text in [
        "ｅｖａｌ（",
        "𝐞𝐯𝐚𝐥(",
        "𝓮𝓿𝓪𝓵(",
        "ⓔⓥⓐⓛ(",
        "e\u{200b}v\u{200d}a\u{ad}l\u{feff}(",
        "еvаl(",
        "e\u{fe0f}val(",
        "𝖾𝗏𝖺𝗅⁽",
        "е\u{2060}ｖаl(",
        "ᴇᴠᴀʟ(",
        "ᴇ\u{34f}vaꓡ(",
        "\u{202e}eval\u{202c}(",
        "e\0v\0\0al\0(",
        "e\u{200b}\0v\0\u{200b}al\0(",
        r"e\u0000val(",
        "e\u{335}v\u{336}al(",
        "e\u{fff9}val(",
        "\u{1f154}\u{1f185}\u{1f150}\u{1f17b}(",
        "&eopf;v&af;&ascr;&NegativeVeryThinSpace;&lfr;(",
        "%6\u{200b}5val(",
        "\u{ff05}65val(",
        "\\u00\u{2060}65val(",
        r"\u00\u200b65val(",
        "\u{ff06}#101;val(",
        "%EF%BC%8565val(",
        "%6&#x200b;5val(",
    ] {
        let text = format!("Привет, {text}1)");
        assert!(texts(DEFAULT, 4, &text).iter().any(|view| view.to_lowercase().contains("eval(")), "{text}");
        assert!(!texts(Kinds::ESCAPES, 4, &text).iter().any(|view| view.to_lowercase().contains("eval(")));
    }
    // The others part words.
    assert_eq!(texts(DEFAULT, 4, "a\0 b \0c \0 d\0"), [""; 0]);
    // Words of the script itself can be found as well.
    assert!(shows(DEFAULT, "при\u{200b}вет", "привет"));
    assert!(shows(DEFAULT, "при\0вет", "привет"));
    assert_eq!(texts(DEFAULT, 4, "日本語、テスト"), [""; 0]);
    assert_eq!(texts(DEFAULT, 4, "naïve café — “quoted”"), [""; 0]);
}

#[test]
fn what_is_not_utf8_passes_through() {
    let (seen, complete) = views(&[DEFAULT], 4, b"\xff\xfe\xef\xbd\x85val(\xc3");
    assert_eq!(seen, [(b"\xff\xfeeval(\xc3".to_vec(), Kinds::UNICODE)]);
    assert!(complete);
}

#[test]
fn base64_is_decoded_with_and_without_padding() {
    // <script>alert(1)</script>?>?>
    for text in ["PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pj8-Pz4", "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pj8+Pz4="] {
        let message = format!(r#"{{"a":"{text}","b":"short","c":"{text}"}}"#);
        let whole = "<script>alert(1)</script>?>?>";
        assert_eq!(texts(ALL, 4, &message), [format!("{whole}\n{whole}")]);
        assert_eq!(texts(DEFAULT, 4, &message), [""; 0]);
    }
    assert_eq!(texts(ALL, 4, "aaaabbbbccccddd"), [""; 0]);
    // eval(1), which is text, in a short run; and in lines that mail would make.
    for text in [
        "ZXZhbCgxKQ==",
        "id ZXZhbCg= of",
        r#"{"d":"ZXZhbCgxKQ"}"#,
        "c29tZSB0ZXh0IHRoZW4gZX\r\nZhbCgxKSBhbmQgbW9yZQ==",
        r"ZX\nZh\nbC\ngxKQ==",
    ] {
        assert!(shows(ALL, text, "eval("), "{text}");
    }
    assert_eq!(texts(ALL, 4, "hello, another word\nthat encodes nothing"), [""; 0]);
    let (seen, _) = views(&[ALL], 4, "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pj8%2bPz4");
    assert!(seen.iter().any(|(view, _)| view == b"<script>alert(1)</script>?>?>"), "percent in base64");
}

#[test]
fn showing_stops_when_told() {
    let mut count = 0;
    let normalizer = Normalizer::new([Kinds::JSON], 8);
    let outcome = normalizer.views(br"\\\\n", &mut Buffers::default(), |layer, _| {
        count += 1;
        ControlFlow::Break(layer.len())
    });
    assert_eq!((outcome, count), (Outcome::Stopped(3), 1));
}

/// Views of large adversarial texts stay within their bound, or are cut off there and said to be.
#[test]
fn the_views_are_bounded() {
    let size = 1 << 15;
    let parts = [
        r"\\\\\\\\\\\\\\\\u0041",
        "%252525252541",
        "&amp;amp;amp;amp;lt;",
        "\u{fdfa}",
        "\u{390}\u{301}",
        "½",
        "ａ",
        "а",
        r"\u0430%25d0%25b0&#x430;",
        "QUFBQUFBQUFBQUFBQUFBQUFBQUE",
        r"\\u00bd%25bd&amp;frac12;",
        "\u{1d160}",
        "&#x00000000041",
    ];
    for depth_max in [1, 4, 8] {
        for (part, other) in parts.iter().zip(parts.iter().cycle().skip(1)) {
            let text = format!("{part}{other} ").repeat(size / (part.len() + other.len() + 1));
            views(&[ALL], depth_max, &text);
            views(&[DEFAULT, Kinds::PERCENT, Kinds::HTML.union(Kinds::JSON), ALL], depth_max, &text);
        }
        // One nested escape in much text.
        for text in [r"\\\\\\\\u0430 %2525d0%2525b0 ½ QUFBQUFBQUFBQUFBQUFBQUFBQUE", r"\\\\u0041"] {
            views(&[ALL], depth_max, text.to_owned() + &"words ".repeat(size / 6));
        }
    }
}

/// Bytes without meaning have many views, and all of them are seen.
#[test]
fn noise_is_not_too_deep() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for size in [1 << 10, 1 << 16, 4 << 20] {
        let noise: Vec<u8> = (0..size)
            .map(|_| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random >> 32) as u8
            })
            .collect();
        let normalizer = Normalizer::new([DEFAULT], 4);
        let mut shown = 0;
        let outcome = normalizer.views(&noise, &mut Buffers::default(), |view, _| {
            shown += view.len();
            ControlFlow::<()>::Continue(())
        });
        assert_eq!(outcome, Outcome::Complete, "{shown} of {size}");
        assert!(shown <= 16 * size, "{shown} of {size}");
    }
}

/// The ways to write a text so that it looks different.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    JsonString,
    JsonUnits,
    Percent,
    PercentSome,
    Decimal,
    Hexadecimal,
    Base64,
}

impl Encoding {
    fn encode(self, text: &str) -> String {
        let mut out = String::new();
        for (at, byte) in text.bytes().enumerate() {
            match self {
                Self::JsonUnits => write!(out, "\\u{byte:04x}"),
                Self::Percent => write!(out, "%{byte:02X}"),
                Self::PercentSome if at % 2 == 0 || byte == b'%' => write!(out, "%{byte:02x}"),
                Self::Decimal => write!(out, "&#{byte};"),
                Self::Hexadecimal => write!(out, "&#x{byte:X};"),
                _ => write!(out, "{}", char::from(byte)),
            }
            .unwrap();
        }
        match self {
            Self::JsonString => serde_json::json!({ "k": text }).to_string(),
            Self::Base64 => encode_base64(text.as_bytes()),
            _ => out,
        }
    }
}

fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|three| {
        let bits =
            three.iter().chain([&0; 2]).take(3).fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
        (0..=three.len()).map(move |at| char::from(DIGITS[bits >> (18 - 6 * at) & 63]))
    });
    digits.collect()
}

fn encodings() -> impl Strategy<Value = Vec<Encoding>> {
    use Encoding::{Base64, Decimal, Hexadecimal, JsonString, JsonUnits, Percent, PercentSome};
    let one =
        prop::sample::select(vec![JsonString, JsonUnits, Percent, PercentSome, Decimal, Hexadecimal, Base64]);
    prop::collection::vec(one, 0..=4)
}

proptest! {
    #[test]
    fn agrees_with_serde_json(text in any::<String>(), escape_all in any::<bool>()) {
        let written = if escape_all {
            format!("\"{}\"", text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect::<String>())
        } else {
            serde_json::to_string(&text).unwrap()
        };
        prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text.clone());
        prop_assert_eq!(json(&written[1..written.len() - 1]), text.as_bytes());
    }

    #[test]
    fn undoing_never_grows_and_never_fails(text in prop::collection::vec(prop_oneof![
        3 => prop::sample::select(b"\\\\\\uud8DcC0129nr\"/x%%&&##;ltam".to_vec()), 1 => any::<u8>(),
    ], 0..80)) {
        let out = undone(Kinds::ESCAPES, &text);
        prop_assert!(out.len() <= text.len());
        views(&[ALL, Kinds::PERCENT], 8, &text);
    }

    #[test]
    fn any_text_has_views(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        views(&[ALL], 4, text);
        views(&[ALL], 4, bytes);
    }

    /// Whatever the mixture of encodings within the depth, the token comes to light, and one level less is not enough to say so
    /// wrongly.
    #[test]
    fn a_token_is_found_under_any_encodings(
        encodings in encodings(), before in "[ -~]{0,20}", after in "[ -~]{0,20}",
    ) {
        let token = "<SCRIPT>alert(1)//";
        let mut text = format!(" {token} ");
        for (at, encoding) in encodings.iter().enumerate() {
            // Beside base64 stands what ends it.
            text = format!(" {} ", encoding.encode(&text));
            if at + 1 == encodings.len() {
                text = format!("{before} {text} {after}");
            }
        }
        let is_shown = |(view, _): &(Vec<u8>, Kinds)| view.windows(token.len()).any(|it| it == token.as_bytes());
        let found = text.contains(token) || views(&[ALL], 4, &text).0.iter().any(is_shown);
        prop_assert!(found, "{text}");
    }
}
