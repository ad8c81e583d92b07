//! `format` and `opcode` of rules that ask for fields of messages.

use wsi_policy::{MessageFormat, MessageTypes, Reading, Validation};

use super::choose;
use crate::diagnostics::Findings;
use crate::document::Block;

/// What may be said in the block of such a rule.
pub(super) const NAMES: [&str; 2] = ["format", "opcode"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Json,
    MessagePack,
    Protobuf,
}

/// How a rule reads messages: as its block says, and else as the first of the policy's `validations` does, or JSON.
pub(super) fn read(block: Block<'_>, validations: &[Validation], findings: &mut Findings) -> Reading {
    let formats = [
        ("json", Ok(Format::Json)),
        ("msgpack", Ok(Format::MessagePack)),
        ("protobuf", Ok(Format::Protobuf)),
    ];
    let opcodes = [
        ("text", Ok(MessageTypes::Text)),
        ("binary", Ok(MessageTypes::Binary)),
        ("any", Ok(MessageTypes::Any)),
    ];
    let first = validations.iter().find_map(|each| Some((each.format()?, each.messages)));
    let (format, messages) = match choose(block, "format", &formats, findings) {
        None => first.unwrap_or((MessageFormat::Json, MessageTypes::Text)),
        Some(Format::Json) => (MessageFormat::Json, MessageTypes::Text),
        Some(Format::MessagePack) => (MessageFormat::MessagePack, MessageTypes::Binary),
        Some(Format::Protobuf) => {
            let mut formats = validations.iter().filter_map(Validation::format);
            let protobuf = formats.find(|format| matches!(format, MessageFormat::Protobuf { .. }));
            if let (None, Some(value)) = (&protobuf, block.value("format")) {
                let help = "add a `validation` with schema-type \"protobuf\", whose schema-path names it";
                findings.mistake(
                    value.span(),
                    "no `validation` says of which Protobuf type messages are",
                    help,
                );
            }
            (protobuf.unwrap_or(MessageFormat::Json), MessageTypes::Binary)
        }
    };
    let messages = choose(block, "opcode", &opcodes, findings).unwrap_or(messages);
    Reading { format, messages }
}
