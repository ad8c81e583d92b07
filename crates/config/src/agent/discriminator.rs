//! `discriminator`: what names a message's type.

use kdl::KdlNode;
use miette::SourceSpan;
use wsi_policy::Discriminator;

use crate::diagnostics::Findings;
use crate::document::{self, Block, Value, property};

/// A discriminator of a block.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// There is none.
    None,
    /// There is one with a mistake, which is reported.
    Wrong,
    At(Discriminator, SourceSpan),
}

impl Found {
    pub fn of(block: Block<'_>, findings: &mut Findings) -> Self {
        match block.node("discriminator") {
            Some(node) => read(node, findings).map_or(Self::Wrong, |(found, span)| Self::At(found, span)),
            None => Self::None,
        }
    }

    /// That of a rule, or else this one of its agent.
    pub fn or_of(&self, rule: Block<'_>, findings: &mut Findings) -> Self {
        match Self::of(rule, findings) {
            Self::None => self.clone(),
            own => own,
        }
    }
}

/// A field of a message, as `/type` (RFC 6901).
pub(super) fn read_pointer(value: Value<'_>, findings: &mut Findings) -> Option<String> {
    let text = value.string(findings)?;
    let is_pointer =
        text.starts_with('/') && text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !is_pointer {
        let help = "write names from the outside in, as \"/type\" or \"/order/price\"; within a name ~ is ~0 and / is ~1";
        findings.mistake(value.span(), format!("\"{text}\" is not the place of a field"), help);
        return None;
    }
    Some(text.to_owned())
}

fn read(node: &KdlNode, findings: &mut Findings) -> Option<(Discriminator, SourceSpan)> {
    let (field, oneof) = (document::argument(node), property(node, "oneof"));
    let (discriminator, span) = match (field, oneof) {
        (Some(value), None) => (Discriminator::Field(read_pointer(value, findings)?), value.span()),
        (None, Some(value)) => (Discriminator::Oneof(value.string(findings)?.to_owned()), value.span()),
        (None, None) => {
            let help =
                "name a field: discriminator \"/type\"; or of Protobuf a oneof: discriminator oneof=\"body\"";
            findings.mistake(node.name().span(), "this `discriminator` names nothing", help);
            return None;
        }
        (Some(_), Some(value)) => {
            let message = "a `discriminator` is a field or a oneof, not both";
            findings.mistake(value.span(), message, "remove one of them");
            return None;
        }
    };
    Some((discriminator, span))
}
