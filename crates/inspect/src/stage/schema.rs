//! Schema: the message as a document, parsed once, under every schema that looks at it.

use wsi_policy::Action;
use wsi_schema::json;
use wsi_ws::Opcode;

use crate::{
    engine::{Engine, Plan},
    pipeline::{Finding, Stop},
};

/// What decoding a message gave; a fault is held until the schemas are asked, because they say what follows from it.
pub(crate) type Decoded = Result<json::Document, Fault>;

/// Why a message is no document.
#[derive(Debug)]
pub(crate) enum Fault {
    NotText,
    Json(json::Fault),
}

/// Decodes the message, if any schema looks at it.
#[inline]
pub(crate) fn decode(
    engine: &Engine,
    plan: &Plan,
    opcode: Opcode,
    payload: &[u8],
    text: Option<&str>,
) -> Option<Decoded> {
    if !plan.schemas.iter().any(|each| each.messages.contains(opcode)) {
        return None;
    }
    let Some(text) = text.or_else(|| simdutf8::basic::from_utf8(payload).ok()) else {
        return Some(Err(Fault::NotText));
    };
    Some(json::Document::parse(text, &engine.json_limits).map_err(Fault::Json))
}

/// Asks the schemas. `Ok(Some(..))`: one that only alerts was broken.
///
/// # Errors
/// The first violation that stops the message.
#[inline]
pub(crate) fn check(plan: &Plan, opcode: Opcode, decoded: &Decoded) -> Result<Option<Finding>, Stop> {
    let mut alert = None;
    for each in plan.schemas.iter().filter(|each| each.messages.contains(opcode)) {
        let detail = match decoded {
            // The short answer is the cheap one; what is wrong is asked only when something is.
            Ok(document) if each.schema.is_valid(document) => continue,
            Ok(document) => each.schema.check(document).err().map_or_else(String::new, |it| it.to_string()),
            Err(Fault::NotText) => "not UTF-8, so not JSON".to_owned(),
            Err(Fault::Json(fault)) => fault.to_string(),
        };
        let finding = Finding { rule: each.rule, action: each.action, at: None, detail };
        if each.action != Action::Alert {
            return Err(Stop::Finding(finding));
        }
        alert = alert.or(Some(finding));
    }
    Ok(alert)
}
