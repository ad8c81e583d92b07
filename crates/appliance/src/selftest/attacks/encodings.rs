//! The same content as a later reader would undo it: escapes and encodings that a policy may claim to undo.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use wsi_config::policy::ContentFilter;

use super::Subject;
use crate::selftest::trial::Variant;

/// A way to write text that some reader undoes. The names are those of `normalize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::selftest) enum Encoding {
    Json,
    Percent,
    Html,
    Unicode,
    Base64,
}

impl Encoding {
    pub const ALL: [Self; 5] = [Self::Json, Self::Percent, Self::Html, Self::Unicode, Self::Base64];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Percent => "percent",
            Self::Html => "html",
            Self::Unicode => "unicode",
            Self::Base64 => "base64",
        }
    }

    /// The row of the table.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Json => "JSON escapes",
            Self::Percent => "percent encoding",
            Self::Html => "HTML references",
            Self::Unicode => "Unicode lookalikes",
            Self::Base64 => "base64",
        }
    }

    /// Whether `filter` says that it undoes this: the only place that knows how a policy says so.
    pub fn is_claimed(self, filter: &ContentFilter) -> bool {
        match self {
            Self::Json => filter.normalize.json,
            Self::Percent => filter.normalize.percent,
            Self::Html => filter.normalize.html,
            Self::Unicode => filter.normalize.unicode,
            Self::Base64 => filter.normalize.base64,
        }
    }

    /// What a rule names, written so.
    pub fn of(self, subject: Subject<'_>) -> Vec<Variant> {
        let Ok(token) = std::str::from_utf8(&subject.sample.token) else { return Vec::new() };
        if !subject.sample.in_json {
            return Vec::new();
        }
        let payloads = match self {
            Self::Json => json(token),
            Self::Percent => percent(token),
            Self::Html => html(token),
            Self::Unicode => unicode(token),
            Self::Base64 => base64(subject, token),
        };
        let mut variants = Vec::new();
        // What encoding leaves as it is proves nothing.
        for (name, written) in payloads.into_iter().filter(|(_, written)| !written.contains(token)) {
            let payload = format!(r#"{{"a":"{written}"}}"#);
            variants.push(subject.text(self.group(), name, payload.as_bytes()));
            if self == Self::Json {
                let payload = format!(r#"{{"{written}":1}}"#);
                variants.push(subject.text(self.group(), format!("{name}, in a key"), payload.as_bytes()));
            }
        }
        variants
    }
}

fn json(token: &str) -> Vec<(&'static str, String)> {
    let lower = |unit: u16| format!("\\u{unit:04x}");
    let upper = |unit: u16| format!("\\u{unit:04X}");
    let all = |write: &dyn Fn(u16) -> String| token.encode_utf16().map(write).collect::<String>();
    let mut others = token.chars();
    let first: String = others
        .next()
        .map(|one| one.encode_utf16(&mut [0; 2]).iter().map(|unit| lower(*unit)).collect())
        .unwrap_or_default();
    let once = all(&lower);
    let twice = once.replace('\\', "\\\\");
    let thrice = twice.replace('\\', "\\\\");
    vec![
        ("the first letter", first + others.as_str()),
        ("in capitals", all(&upper)),
        ("in a string of JSON", format!(r#"{{\"b\":\"{twice}\"}}"#)),
        ("in a string in a string of JSON", format!(r#"{{\"b\":\"{{\\\"c\\\":\\\"{thrice}\\\"}}\"}}"#)),
        ("every letter", once),
    ]
}

fn percent(token: &str) -> Vec<(&'static str, String)> {
    let all = |write: &dyn Fn(u8) -> String| token.bytes().map(write).collect::<String>();
    let marks = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    vec![
        ("marks only", all(&marks)),
        ("every letter", all(&|byte| format!("%{byte:02x}"))),
        ("twice", all(&|byte| format!("%25{byte:02X}"))),
    ]
}

fn html(token: &str) -> Vec<(&'static str, String)> {
    let all = |write: &dyn Fn(char) -> String| token.chars().map(write).collect::<String>();
    let named = |one: char| match one {
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '&' => "&amp;".into(),
        '\'' => "&apos;".into(),
        '(' => "&lpar;".into(),
        other => format!("&#{};", u32::from(other)),
    };
    vec![
        ("by number", all(&|one| format!("&#{};", u32::from(one)))),
        ("by number, in hex", all(&|one| format!("&#x{:x};", u32::from(one)))),
        ("by name", all(&named)),
        ("with zeros", all(&|one| format!("&#{:07};", u32::from(one)))),
    ]
}

fn unicode(token: &str) -> Vec<(&'static str, String)> {
    let wide = |one: char| match one {
        '!'..='~' => char::from_u32(u32::from(one) + 0xfee0).unwrap_or(one),
        other => other,
    };
    let between = |mark: &str| token.chars().map(String::from).collect::<Vec<_>>().join(mark);
    vec![
        ("full width", token.chars().map(wide).collect()),
        ("zero width space between", between("\u{200b}")),
        ("zero width joiner between", between("\u{200d}")),
        ("soft hyphen between", between("\u{ad}")),
    ]
}

/// Text in base64, in all three places that a letter can have in it. Shorter runs are words of any text: no policy minds them.
fn base64(subject: Subject<'_>, token: &str) -> Vec<(&'static str, String)> {
    let Some(filler) = subject.sample.filler else { return Vec::new() };
    let behind = |size: usize| [&vec![filler; size][..], token.as_bytes()].concat();
    vec![
        ("behind 12 letters", STANDARD.encode(behind(12))),
        ("behind 13 letters", STANDARD.encode(behind(13))),
        ("behind 14 letters", STANDARD.encode(behind(14))),
        ("for URLs, without padding", URL_SAFE_NO_PAD.encode(behind(13))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let find = |all: Vec<(&str, String)>, name: &str| {
            all.into_iter().find(|(own, _)| *own == name).map(|(_, text)| text).unwrap()
        };
        assert_eq!(find(json("<a"), "the first letter"), r"\u003ca");
        assert_eq!(find(json("😀"), "in capitals"), r"\uD83D\uDE00");
        assert_eq!(find(json("<"), "in a string of JSON"), r#"{\"b\":\"\\u003c\"}"#);
        assert_eq!(find(percent("<a"), "marks only"), "%3Ca");
        assert_eq!(find(html("<é"), "by name"), "&lt;&#233;");
        assert_eq!(find(unicode("<"), "full width"), "＜");
    }
}
