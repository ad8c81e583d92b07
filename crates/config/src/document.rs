//! Typed reading of a document that `grammar` has checked: wrong types and values out of range are reported here,
//! names and counts are not.

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use miette::SourceSpan;

use crate::diagnostics::Findings;
use crate::{names, size};

/// The nodes of one block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block<'d> {
    nodes: &'d [KdlNode],
}

impl<'d> Block<'d> {
    pub(crate) fn of_document(document: &'d KdlDocument) -> Self {
        Self { nodes: document.nodes() }
    }

    pub(crate) fn of(node: &'d KdlNode) -> Self {
        Self { nodes: node.children().map_or(&[], KdlDocument::nodes) }
    }

    pub(crate) fn nodes(self, name: &'static str) -> impl Iterator<Item = &'d KdlNode> {
        self.nodes.iter().filter(move |node| node.name().value() == name)
    }

    /// The first of that name; a second one is reported already.
    pub(crate) fn node(self, name: &'static str) -> Option<&'d KdlNode> {
        self.nodes(name).next()
    }

    pub(crate) fn block(self, name: &'static str) -> Option<Self> {
        self.node(name).map(Self::of)
    }

    /// The argument of the node of that name.
    pub(crate) fn value(self, name: &'static str) -> Option<Value<'d>> {
        argument(self.node(name)?)
    }

    /// The arguments of the node of that name.
    pub(crate) fn values(self, name: &'static str) -> Option<Vec<Value<'d>>> {
        let node = self.node(name)?;
        let arguments = node.entries().iter().filter(|entry| entry.name().is_none());
        Some(arguments.map(|entry| Value { name: node.name().value(), entry }).collect())
    }
}

/// The node's first argument.
pub(crate) fn argument(node: &KdlNode) -> Option<Value<'_>> {
    let entry = node.entries().iter().find(|entry| entry.name().is_none())?;
    Some(Value { name: node.name().value(), entry })
}

/// The node's property of that name.
pub(crate) fn property<'d>(node: &'d KdlNode, name: &'static str) -> Option<Value<'d>> {
    let is_named = |entry: &&KdlEntry| entry.name().is_some_and(|own| own.value() == name);
    node.entries().iter().find(is_named).map(|entry| Value { name, entry })
}

/// A word that may be chosen, and what it stands for, or what to do instead of a word that is not built.
pub(crate) type Choice<T> = (&'static str, Result<T, &'static str>);

/// An argument or a property's value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'d> {
    /// Of the node or property, for messages.
    name: &'d str,
    entry: &'d KdlEntry,
}

impl<'d> Value<'d> {
    pub(crate) fn span(self) -> SourceSpan {
        self.entry.span()
    }

    pub(crate) fn raw(self) -> &'d KdlValue {
        self.entry.value()
    }

    /// A text that is not empty.
    pub(crate) fn string(self, findings: &mut Findings) -> Option<&'d str> {
        match self.entry.value() {
            KdlValue::String(text) if text.is_empty() => {
                let message = format!("`{}` is empty", self.name);
                findings.mistake(self.span(), message, "write a text between the quotes, or remove it");
                None
            }
            KdlValue::String(text) => Some(text),
            _ => self.wrong_type("a text", format!("write it in quotes: {} \"...\"", self.name), findings),
        }
    }

    /// The string or number as it would stand in a text.
    pub(crate) fn text(self) -> Option<String> {
        match self.entry.value() {
            KdlValue::String(text) => Some(text.clone()),
            KdlValue::Integer(number) => Some(number.to_string()),
            _ => None,
        }
    }

    pub(crate) fn boolean(self, findings: &mut Findings) -> Option<bool> {
        match self.entry.value() {
            KdlValue::Bool(flag) => Some(*flag),
            _ => self.wrong_type("true or false", format!("write {} true or {0} false", self.name), findings),
        }
    }

    pub(crate) fn integer(self, range: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
        match self.entry.value() {
            KdlValue::Integer(number) => {
                let number = u64::try_from(*number).ok();
                self.in_range(number, range, |bound| bound.to_string(), findings)
            }
            _ => {
                self.wrong_type("a whole number", format!("write {} {}", self.name, range.start()), findings)
            }
        }
    }

    /// Bytes: a number, or a text with a unit.
    pub(crate) fn size(self, range: RangeInclusive<u64>, findings: &mut Findings) -> Option<u64> {
        let bytes = match self.entry.value() {
            KdlValue::Integer(number) => u64::try_from(*number).ok(),
            KdlValue::String(text) if size::parse(text).is_some() => size::parse(text),
            _ => {
                let help = format!("write bytes, or a unit of KiB, MiB or GiB: {} \"64KiB\"", self.name);
                return self.wrong_type("a size", help, findings);
            }
        };
        self.in_range(bytes, range, size::display, findings)
    }

    pub(crate) fn choice<T: Copy>(self, choices: &[Choice<T>], findings: &mut Findings) -> Option<T> {
        let word = self.string(findings)?;
        match choices.iter().find(|(known, _)| *known == word) {
            Some((_, Ok(chosen))) => Some(*chosen),
            Some((_, Err(instead))) => {
                findings.not_built(self.span(), &format!("{} \"{word}\"", self.name), instead);
                None
            }
            None => {
                let built = choices.iter().filter(|(_, chosen)| chosen.is_ok()).map(|(known, _)| *known);
                let help = match names::nearest(word, choices.iter().map(|(known, _)| *known)) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => names::known_names(built),
                };
                findings.mistake(self.span(), format!("unknown {} \"{word}\"", self.name), help);
                None
            }
        }
    }

    /// Address and port in numbers.
    pub(crate) fn address(self, findings: &mut Findings) -> Option<SocketAddr> {
        let text = self.string(findings)?;
        let address = text.parse().ok();
        if address.is_none() {
            let help = "write address and port in numbers, as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080";
            findings.mistake(self.span(), format!("\"{text}\" is not an address"), help);
        }
        address
    }

    /// A name that stands in records and metrics.
    pub(crate) fn label(self, findings: &mut Findings) -> Option<&'d str> {
        const LABEL_LEN_MAX: usize = 128;
        let text = self.string(findings)?;
        if text.len() <= LABEL_LEN_MAX && !text.contains(char::is_control) {
            return Some(text);
        }
        let message = format!("this name of `{}` can't stand in records", self.name);
        findings.mistake(self.span(), message, "use at most 128 bytes and no control characters");
        None
    }

    fn in_range(
        self,
        number: Option<u64>,
        range: RangeInclusive<u64>,
        show: impl Fn(u64) -> String,
        findings: &mut Findings,
    ) -> Option<u64> {
        let fitting = number.filter(|number| range.contains(number));
        if fitting.is_none() {
            let help = format!("choose a value from {} to {}", show(*range.start()), show(*range.end()));
            findings.mistake(self.span(), format!("`{}` is out of range", self.name), help);
        }
        fitting
    }

    fn wrong_type<T>(
        self,
        wanted: impl fmt::Display,
        help: impl Into<String>,
        findings: &mut Findings,
    ) -> Option<T> {
        let found = match self.entry.value() {
            KdlValue::String(_) => "this text",
            KdlValue::Integer(_) | KdlValue::Float(_) => "a number",
            KdlValue::Bool(_) => "true or false",
            KdlValue::Null => "null",
        };
        findings.mistake(self.span(), format!("`{}` takes {wanted}, not {found}", self.name), help);
        None
    }
}

/// The name that a block is given as its argument, which no earlier one of its kind may have; empty when it is missing
/// or wrong, which is reported.
pub(crate) fn own_name<'d>(
    node: &'d KdlNode,
    seen: &mut HashSet<&'d str>,
    findings: &mut Findings,
) -> String {
    let Some((value, name)) = argument(node).and_then(|value| Some((value, value.label(findings)?))) else {
        return String::new();
    };
    if !seen.insert(name) {
        let message = format!("\"{name}\" is the name of an earlier {} already", node.name().value());
        findings.mistake(value.span(), message, "give each a name of its own");
    }
    name.to_owned()
}

/// Where the name that a block is given stands.
pub(crate) fn name_span(node: &KdlNode) -> SourceSpan {
    argument(node).map_or(node.name().span(), Value::span)
}
