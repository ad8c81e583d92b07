//! One of `block-patterns`: `/expression/flags`, or a literal.

use wsi_policy::Pattern;

use crate::diagnostics::Findings;
use crate::document::Value;

const FLAGS: &str = "imsu";

pub(super) fn read(value: Value<'_>, findings: &mut Findings) -> Option<Pattern> {
    match parse(value.string(findings)?) {
        Ok(pattern) => Some(pattern),
        Err((message, help)) => {
            findings.mistake(value.span(), message, help);
            None
        }
    }
}

fn parse(text: &str) -> Result<Pattern, (String, &'static str)> {
    let Some(body) = text.strip_prefix('/') else { return Ok(Pattern::Literal(text.to_owned())) };
    let Some(end) = body.rfind('/').filter(|end| !is_escaped(&body[..*end])) else {
        let help = "end it with `/`; to block a text that begins with a slash, write \"/\\\\/text/\"";
        return Err((format!("the expression {text} has no closing `/`"), help));
    };
    let (expression, flags) = (&body[..end], &body[end + 1..]);
    if expression.is_empty() {
        return Err((
            "this expression is empty and would match everything".to_owned(),
            "write it between the slashes",
        ));
    }
    let mut seen = String::new();
    for flag in flags.chars() {
        if !FLAGS.contains(flag) || seen.contains(flag) {
            let help = "flags are i (any case), m (^ and $ at lines), s (dot matches line ends), u (Unicode \
                        classes), each once; to block a text with slashes, escape them: \"/\\\\/etc\\\\/passwd/\"";
            return Err((format!("unknown or repeated flag `{flag}` after the expression"), help));
        }
        seen.push(flag);
    }
    Ok(Pattern::Regex { expression: expression.to_owned(), flags: seen })
}

/// Whether what follows `before` stands behind a backslash that is not escaped itself.
fn is_escaped(before: &str) -> bool {
    before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let regex = |expression: &str, flags: &str| {
            Ok(Pattern::Regex { expression: expression.into(), flags: flags.into() })
        };
        for (text, pattern) in [
            ("/exec\\(/", regex("exec\\(", "")),
            ("/eval\\(/i", regex("eval\\(", "i")),
            ("/a/b/msu", regex("a/b", "msu")),
            ("/a\\\\/", regex("a\\\\", "")),
            ("a/b/", Ok(Pattern::Literal("a/b/".into()))),
            ("exec(", Ok(Pattern::Literal("exec(".into()))),
        ] {
            assert_eq!(parse(text), pattern, "{text}");
        }
        for wrong in ["/", "//", "//i", "/exec", "/exec\\/", "/a/x", "/a/ii", "/etc/passwd"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
