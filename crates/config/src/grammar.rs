//! The names of the language: which node may stand where, how often, and with what. One table, and one walk that
//! checks a document against it; how values are read is the matter of the module of each block.

mod table;

use std::collections::HashSet;

use kdl::{KdlDocument, KdlEntry, KdlNode};
use miette::SourceSpan;

use self::table::ROOT;

use crate::diagnostics::Findings;
use crate::names;

/// What is known of a node's name.
#[derive(Debug)]
struct Form {
    name: &'static str,
    /// As it is written, for help.
    example: &'static str,
    arguments: Arguments,
    properties: &'static [Property],
    children: &'static [Form],
    times: Times,
}

#[derive(Debug)]
struct Property {
    name: &'static str,
    required: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arguments {
    None,
    AtMostOne,
    One,
    AtLeastOne,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    AtMostOnce,
    Once,
    Any,
    AtLeastOnce,
}

/// Reports every unknown name, every name that stands too often or is missing, and arguments, properties
/// and blocks where there should be none, or none where there should be.
pub(crate) fn check(document: &KdlDocument, findings: &mut Findings) {
    check_children(document.nodes(), ROOT, findings);
}

fn check_children(nodes: &[KdlNode], forms: &'static [Form], findings: &mut Findings) {
    let mut seen = HashSet::new();
    for node in nodes {
        let name = node.name().value();
        let Some(form) = forms.iter().find(|form| form.name == name) else {
            unknown_node(node, forms, findings);
            continue;
        };
        let once = matches!(form.times, Times::AtMostOnce | Times::Once);
        if !seen.insert(name) && once {
            let help = "remove all but one";
            findings.mistake(node.name().span(), format!("`{name}` may stand here only once"), help);
        }
        check_node(node, form, findings);
    }
}

fn check_node(node: &KdlNode, form: &'static Form, findings: &mut Findings) {
    check_arguments(node, form, findings);
    check_properties(node, form, findings);
    let block = node.children();
    if let (Some(block), []) = (block, form.children) {
        let span = block.nodes().first().map_or(node.name().span(), |first| first.name().span());
        findings.mistake(span, format!("`{}` has no block", form.name), written(form));
        return;
    }
    let children = block.map_or(&[][..], KdlDocument::nodes);
    for required in form.children.iter().filter(|child| child.is_required()) {
        if !children.iter().any(|child| child.name().value() == required.name) {
            let message = format!("`{}` needs `{}`", form.name, required.name);
            findings.mistake(node.name().span(), message, format!("add {}", required.example));
        }
    }
    check_children(children, form.children, findings);
}

fn check_arguments(node: &KdlNode, form: &Form, findings: &mut Findings) {
    let mut arguments = node.entries().iter().filter(|entry| entry.name().is_none());
    let is_there = form.arguments != Arguments::None && arguments.next().is_some();
    if matches!(form.arguments, Arguments::One | Arguments::AtLeastOne) && !is_there {
        let message = format!("`{}` needs a value", form.name);
        findings.mistake(node.name().span(), message, written(form));
    }
    if form.arguments == Arguments::AtLeastOne {
        return;
    }
    for stray in arguments {
        let message = match form.arguments {
            Arguments::One | Arguments::AtMostOne => {
                format!("`{}` has one value; this is one too many", form.name)
            }
            _ => format!("`{}` has no value of its own", form.name),
        };
        findings.mistake(stray.span(), message, written(form));
    }
}

fn check_properties(node: &KdlNode, form: &Form, findings: &mut Findings) {
    let properties: Vec<(&str, &KdlEntry)> =
        node.entries().iter().filter_map(|entry| Some((entry.name()?.value(), entry))).collect();
    let mut seen = HashSet::new();
    for (name, entry) in &properties {
        let span = entry.name().map_or(entry.span(), kdl::KdlIdentifier::span);
        if !seen.insert(name) {
            let message = format!("the property `{name}` may stand here only once");
            findings.mistake(span, message, "remove all but one");
            continue;
        }
        if !form.properties.iter().any(|property| property.name == *name) {
            unknown_property(name, span, form, findings);
        }
    }
    for required in form.properties.iter().filter(|property| property.required) {
        if !properties.iter().any(|(name, _)| *name == required.name) {
            let message = format!("`{}` needs `{}=`", form.name, required.name);
            findings.mistake(node.name().span(), message, written(form));
        }
    }
}

fn unknown_node(node: &KdlNode, forms: &'static [Form], findings: &mut Findings) {
    let name = node.name().value();
    let known = forms.iter().map(|form| form.name);
    let help = match (names::nearest(name, known.clone()), home_of(name, "", ROOT)) {
        (None, Some("")) => format!("`{name}` stands outside of all blocks"),
        (None, Some(home)) => format!("`{name}` belongs into a `{home}` block"),
        (Some(near), _) => format!("did you mean \"{near}\"?"),
        (None, None) => names::known_names(known),
    };
    findings.mistake(node.name().span(), format!("unknown name `{name}`"), help);
}

fn unknown_property(name: &str, span: SourceSpan, form: &Form, findings: &mut Findings) {
    let known = form.properties.iter().map(|property| property.name);
    let help = match form.properties {
        [] => format!("`{}` has no properties: {}", form.name, form.example),
        _ => names::suggestion(name, known),
    };
    findings.mistake(span, format!("unknown property `{name}`"), help);
}

/// The block where `name` is known.
fn home_of(name: &str, block: &'static str, forms: &'static [Form]) -> Option<&'static str> {
    if forms.iter().any(|form| form.name == name) {
        return Some(block);
    }
    forms.iter().find_map(|form| home_of(name, form.name, form.children))
}

fn written(form: &Form) -> String {
    format!("write {}", form.example)
}

impl Form {
    fn is_required(&self) -> bool {
        matches!(self.times, Times::Once | Times::AtLeastOnce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that can be written is a name that can be looked up.
    #[test]
    fn every_name_is_in_the_reference() {
        let reference = include_str!("../../../config/README.md");
        fn visit(forms: &[Form], reference: &str) {
            for form in forms {
                assert!(reference.contains(&format!("`{}`", form.name)), "node {}", form.name);
                for property in form.properties {
                    assert!(
                        reference.contains(&format!("`{}=`", property.name)),
                        "property {}",
                        property.name
                    );
                }
                visit(form.children, reference);
            }
        }
        visit(ROOT, reference);
    }
}
