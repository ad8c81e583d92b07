//! Changes within a JSON text.

use std::ops::Range;

use sonic_rs::{to_array_iter, to_object_iter};

use super::{Document, Fault, Limits};
use crate::{
    edit::{EVERY_ELEMENT, EditFault, Edits, Operation, Text},
    field::{Pointer, position},
};

/// The changes that make `operation` of every value at `at`; none where there is no such place.
///
/// # Errors
/// When `text` is no [`Document`], or a value is of the wrong type.
pub fn edit(
    text: &str,
    at: &Pointer,
    operation: &Operation<'_>,
    limits: &Limits,
) -> Result<Edits, EditFault> {
    Document::parse(text, limits)?;
    let tokens: Vec<&str> = at.tokens().collect();
    let mut walk = Walk { text, operation, edits: Edits::default() };
    walk.value(0..text.len(), &tokens)?;
    Ok(walk.edits.finish())
}

struct Walk<'a> {
    text: &'a str,
    operation: &'a Operation<'a>,
    edits: Edits,
}

/// A member of an object, or an element of an array.
struct Child {
    /// With its name.
    whole: Range<usize>,
    value: Range<usize>,
    /// It is on the way.
    is_meant: bool,
}

impl Walk<'_> {
    /// `range`: a value, and perhaps blanks around it. It recurses once per token.
    fn value(&mut self, range: Range<usize>, tokens: &[&str]) -> Result<(), EditFault> {
        let range = trimmed(self.text, range);
        match tokens {
            [] => self.change(range),
            [token, rest @ ..] => {
                let is_removed = rest.is_empty() && matches!(self.operation, Operation::Remove);
                let children = self.children(range, token, is_removed)?;
                if is_removed {
                    self.remove(&children);
                    return Ok(());
                }
                children
                    .iter()
                    .filter(|child| child.is_meant)
                    .try_for_each(|child| self.value(child.value.clone(), rest))
            }
        }
    }

    /// What `token` names in an array or object, or `all` that is in it; nothing in any other value.
    fn children(&self, range: Range<usize>, token: &str, all: bool) -> Result<Vec<Child>, EditFault> {
        let (text, mut children) = (&self.text[range.clone()], Vec::new());
        // Where the last child ended, or the bracket that opens.
        let mut end = range.start + 1;
        let mut add = |raw: &str, is_meant| {
            let start = raw.as_ptr().addr() - self.text.as_ptr().addr();
            let value = start..start + raw.len();
            let whole = after_blanks(self.text, end)..value.end;
            end = value.end;
            if all || is_meant {
                children.push(Child { whole, value, is_meant });
            }
        };
        let syntax = |error: sonic_rs::Error| Fault::Syntax {
            offset: (range.start + error.offset()).min(self.text.len()),
        };
        match text.as_bytes().first() {
            Some(b'{') => {
                for member in to_object_iter(text) {
                    let (name, value) = member.map_err(syntax)?;
                    add(value.as_raw_str(), name == token);
                }
            }
            Some(b'[') => {
                let wanted = position(token);
                for (at, element) in to_array_iter(text).enumerate() {
                    let is_meant = token == EVERY_ELEMENT || wanted == Some(at);
                    add(element.map_err(syntax)?.as_raw_str(), is_meant);
                }
            }
            _ => {}
        }
        Ok(children)
    }

    /// Takes children away with as many commas: they are one, or all.
    fn remove(&mut self, children: &[Child]) {
        let Some(first) = children.iter().position(|child| child.is_meant) else { return };
        let last = children.iter().rposition(|child| child.is_meant).unwrap_or(first);
        let (Some(begun), Some(ended)) = (children.get(first), children.get(last)) else { return };
        let before = first.checked_sub(1).and_then(|before| children.get(before));
        let range = match (before, children.get(last + 1)) {
            (_, Some(after)) => begun.whole.start..after.whole.start,
            (Some(before), None) => before.whole.end..ended.whole.end,
            (None, None) => begun.whole.start..ended.whole.end,
        };
        self.edits.replace(self.text.as_bytes(), range, Vec::new());
    }

    fn change(&mut self, range: Range<usize>) -> Result<(), EditFault> {
        let value = &self.text[range.clone()];
        let with = match self.operation {
            // Not at a place of its own: there is nothing that it could be taken from.
            Operation::Remove => return Ok(()),
            Operation::Set(literal) => literal.to_string().into_bytes(),
            Operation::Text(change) => match value.as_bytes().first() {
                Some(b'"') => {
                    let syntax = |_| Fault::Syntax { offset: range.start };
                    let text: String = sonic_rs::from_str(value).map_err(syntax)?;
                    let changed = change(Text::Characters((&*text).into()));
                    if changed == text.as_bytes() {
                        // However it was escaped.
                        return Ok(());
                    }
                    quoted(&String::from_utf8_lossy(&changed))
                }
                // It is as absent.
                Some(b'n') => return Ok(()),
                Some(b'{') => return Err(EditFault::WrongType("an object")),
                Some(b'[') => return Err(EditFault::WrongType("an array")),
                Some(b't' | b'f') => return Err(EditFault::WrongType("a boolean")),
                _ => return Err(EditFault::WrongType("a number")),
            },
        };
        self.edits.replace(self.text.as_bytes(), range, with);
        Ok(())
    }
}

fn quoted(text: &str) -> Vec<u8> {
    // A string always has a JSON text.
    serde_json::to_vec(text).unwrap_or_default()
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let start = after_blanks(text, range.start).min(range.end);
    let rest = text[start..range.end].trim_end_matches(is_blank);
    start..start + rest.len()
}

/// Where the first byte is that is neither blank nor comma.
fn after_blanks(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.len() - rest.trim_start_matches(|it| is_blank(it) || it == ',').len()
}

fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::edit::Literal;

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    fn changed(text: &str, at: &str, operation: &Operation<'_>) -> Result<String, EditFault> {
        let edits = edit(text, &pointer(at), operation, &Limits::default())?;
        let mut out = Vec::new();
        edits.apply(text.as_bytes(), &mut out);
        assert_eq!(edits.size_after(text.len()), out.len());
        Ok(String::from_utf8(out).unwrap())
    }

    fn stars(text: Text<'_>) -> Vec<u8> {
        let Text::Characters(text) = text else { panic!("no binary data in JSON") };
        vec![b'*'; text.chars().count()]
    }

    #[test]
    fn values_are_changed_where_they_are() {
        let text = r#" { "user" : { "email":"a@b.c" ,"n":1 } , "l":[ 1, {"p":"x"}, {"p" : "yé"} ], "e":[], "0":true } "#;
        let set = Operation::Set(&Literal::Text("q\"".into()));
        for (at, expected) in [
            ("/user/email", text.replace("\"a@b.c\"", r#""q\"""#)),
            ("/user/n", text.replace(":1 ", r#":"q\"" "#)),
            ("/l/1/p", text.replace("\"x\"", r#""q\"""#)),
            ("/l/*/p", text.replace("\"x\"", r#""q\"""#).replace("\"yé\"", r#""q\"""#)),
            ("/l/0", text.replace("[ 1,", r#"[ "q\"","#)),
            ("/0", text.replace("true", r#""q\"""#)),
            ("/e", text.replace("[]", r#""q\"""#)),
            ("", r#" "q\"" "#.to_owned()),
        ] {
            assert_eq!(changed(text, at, &set), Ok(expected), "{at}");
        }
        for nowhere in ["/none", "/user/email/x", "/l/3", "/l/00", "/e/*", "/l/*/p/*", "/user/*"] {
            assert_eq!(changed(text, nowhere, &set), Ok(text.to_owned()), "{nowhere}");
        }
    }

    #[test]
    fn what_is_removed_takes_a_comma_with_it() {
        for (text, at, expected) in [
            (r#"{"a":1, "b":2 ,"c":3}"#, "/a", r#"{"b":2 ,"c":3}"#),
            (r#"{"a":1, "b":2 ,"c":3}"#, "/b", r#"{"a":1, "c":3}"#),
            (r#"{"a":1, "b":2 ,"c":3}"#, "/c", r#"{"a":1, "b":2}"#),
            (r#"{ "a":{"b":1} }"#, "/a", "{  }"),
            (r#"{ "a":{"b":1} }"#, "/a/b", r#"{ "a":{} }"#),
            ("[1, 2, 3]", "/0", "[2, 3]"),
            ("[1, 2, 3]", "/2", "[1, 2]"),
            ("[1, 2 ]", "/*", "[ ]"),
            (r#"[{"a":1},{"a":2,"b":3},4]"#, "/*/a", r#"[{},{"b":3},4]"#),
            (r#"{"a\/b":1,"x":"a/b"}"#, "/a~1b", r#"{"x":"a/b"}"#),
            (r#"{"\u0061":1,"b":2}"#, "/a", r#"{"b":2}"#),
            ("7", "", "7"),
        ] {
            assert_eq!(changed(text, at, &Operation::Remove), Ok(expected.to_owned()), "{text} {at}");
        }
    }

    #[test]
    fn texts_become_other_texts_and_nothing_else_does() {
        let operation = Operation::Text(&stars);
        assert_eq!(changed(r#"{"a":"x\n\ud83e\udd80"}"#, "/a", &operation), Ok(r#"{"a":"***"}"#.into()));
        assert_eq!(
            changed(r#"{"a":"\u002a"}"#, "/a", &operation),
            Ok(r#"{"a":"\u002a"}"#.into()),
            "it says the same"
        );
        assert_eq!(changed(r#"{"a":null}"#, "/a", &operation), Ok(r#"{"a":null}"#.into()));
        for (text, what) in [
            ("1", "a number"),
            ("-1.5", "a number"),
            ("true", "a boolean"),
            ("[]", "an array"),
            ("{}", "an object"),
        ] {
            assert_eq!(changed(&format!("[{text}]"), "/*", &operation), Err(EditFault::WrongType(what)));
        }
        assert_eq!(changed("{", "/a", &operation), Err(EditFault::Json(Fault::Syntax { offset: 0 })));
        assert_eq!(changed(r#"{"a":1,"a":2}"#, "/a", &operation), Err(EditFault::Json(Fault::DuplicateKey)));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ab/~*\"\\\\é🦀\\n]{0,4}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab0/*é]{0,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same change of the parsed value, made plainly.
    fn expected(value: &mut Value, tokens: &[&str], operation: &Operation<'_>) -> Result<(), ()> {
        match tokens {
            [] => match operation {
                Operation::Remove => Ok(()),
                Operation::Set(_) => {
                    *value = json!("set é\"");
                    Ok(())
                }
                Operation::Text(_) => match value {
                    Value::Null => Ok(()),
                    Value::String(text) => {
                        *text = "*".repeat(text.chars().count());
                        Ok(())
                    }
                    _ => Err(()),
                },
            },
            [token, rest @ ..] => {
                let removes = rest.is_empty() && matches!(operation, Operation::Remove);
                match value {
                    Value::Object(map) if removes => {
                        map.remove(*token);
                        Ok(())
                    }
                    Value::Object(map) => {
                        map.get_mut(*token).map_or(Ok(()), |it| expected(it, rest, operation))
                    }
                    Value::Array(array) if *token == "*" && removes => {
                        array.clear();
                        Ok(())
                    }
                    Value::Array(array) if *token == "*" => {
                        array.iter_mut().try_for_each(|it| expected(it, rest, operation))
                    }
                    Value::Array(array) => match position(token) {
                        Some(at) if at < array.len() && removes => {
                            array.remove(at);
                            Ok(())
                        }
                        Some(at) => array.get_mut(at).map_or(Ok(()), |it| expected(it, rest, operation)),
                        None => Ok(()),
                    },
                    _ => Ok(()),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn an_edit_of_the_text_is_an_edit_of_the_value(
            value in value(), tokens in prop::collection::vec("[ab0*é]{1,2}|0|1|\\*", 0..4), which in 0..3usize, pretty in any::<bool>(),
        ) {
            let literal = Literal::Text("set é\"".into());
            let operation = [Operation::Remove, Operation::Set(&literal), Operation::Text(&stars)].into_iter().nth(which).unwrap();
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let at: String = tokens.iter().map(|token| format!("/{token}")).collect();
            let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
            let mut after = value.clone();
            match (changed(&text, &at, &operation), expected(&mut after, &tokens, &operation)) {
                (Ok(changed), Ok(())) => {
                    prop_assert_eq!(serde_json::from_str::<Value>(&changed).unwrap(), after.clone(), "{} at {}", text, at);
                    prop_assert!(after != value || changed == text);
                }
                (Err(EditFault::WrongType(_)), Err(())) => {}
                (changed, _) => prop_assert!(false, "{changed:?} of {text} at {at}"),
            }
        }
    }
}
