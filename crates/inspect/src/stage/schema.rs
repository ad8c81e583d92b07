//! Schema: the message decoded, once for each format, under every schema that looks at it.

use wsi_policy::Action;
use wsi_schema::{json, msgpack, protobuf, tree::Tree};
use wsi_ws::Opcode;

use crate::{
    engine::{Engine, Plan, Reading, Schema, SchemaPlan},
    pipeline::{Finding, Stop},
    worker::Worker,
};

/// Stands between the texts of a message: no letter, no space, and in no text that a person writes.
pub(super) const SEPARATOR: u8 = 0;

/// What decoding a message gave. A fault is held until the schemas are asked, because they say what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Decoded<'a> {
    json: Option<Result<json::Document, JsonFault>>,
    msgpack: Option<Result<Tree<'a>, msgpack::Fault>>,
    /// `None`: it was checked, and nobody asks for more.
    protobuf: Vec<(&'a Reading, Result<Option<Tree<'a>>, protobuf::Fault>)>,
    texts: Vec<u8>,
}

/// Why a message is no JSON document.
#[derive(Debug)]
enum JsonFault {
    NotText,
    Json(json::Fault),
}

/// Decodes the message, if any schema looks at it.
#[inline]
pub(crate) fn decode<'a>(
    engine: &'a Engine,
    plan: &'a Plan,
    opcode: Opcode,
    payload: &'a [u8],
    text: Option<&str>,
    worker: &mut Worker,
) -> Option<Decoded<'a>> {
    let mut decoded = None;
    for each in plan.schemas.iter().filter(|each| each.messages.contains(opcode)) {
        let decoded = decoded.get_or_insert_with(Decoded::default);
        match &each.schema {
            Schema::Json(_) => decoded.read_json(engine, payload, text),
            Schema::MessagePack(_) => decoded.read_msgpack(engine, plan, payload, worker),
            Schema::Protobuf { reading, .. } => decoded.read_protobuf(engine, plan, reading, payload, worker),
        }
    }
    decoded
}

impl<'a> Decoded<'a> {
    #[inline]
    fn read_json(&mut self, engine: &Engine, payload: &[u8], text: Option<&str>) {
        if self.json.is_none() {
            let text = text.or_else(|| simdutf8::basic::from_utf8(payload).ok());
            self.json =
                Some(text.ok_or(JsonFault::NotText).and_then(|text| {
                    json::Document::parse(text, &engine.json_limits).map_err(JsonFault::Json)
                }));
        }
    }

    fn read_msgpack(&mut self, engine: &Engine, plan: &Plan, payload: &'a [u8], worker: &mut Worker) {
        if self.msgpack.is_none() {
            let sink = text_sink(&mut self.texts, plan, worker);
            self.msgpack = Some(msgpack::decode(payload, &engine.json_limits, sink));
        }
    }

    fn read_protobuf(
        &mut self,
        engine: &Engine,
        plan: &Plan,
        reading: &'a Reading,
        payload: &'a [u8],
        worker: &mut Worker,
    ) {
        if self.protobuf.iter().any(|(known, _)| std::ptr::eq(*known, reading)) {
            return;
        }
        let (limits, unknown) = (&engine.json_limits, reading.unknown);
        let sink = text_sink(&mut self.texts, plan, worker);
        let read = if reading.is_shown {
            reading.kind.decode(payload, limits, unknown, sink).map(Some)
        } else {
            reading.kind.verify(payload, limits, unknown, sink).map(|()| None)
        };
        self.protobuf.push((reading, read));
    }

    /// The texts and binary data of the message, with a byte between them that is neither letter nor space. In the message
    /// itself the length of a text stands before it, and may be a letter: a pattern that wants a word of its own would not see
    /// it. It is never longer than the message for each way of reading it.
    pub fn texts(&self) -> &[u8] {
        &self.texts
    }

    /// Whether a binary message could not be decoded to its end, so that [`Decoded::texts`] lacks some.
    pub fn is_incomplete(&self) -> bool {
        self.msgpack.as_ref().is_some_and(Result::is_err)
            || self.protobuf.iter().any(|(_, read)| read.is_err())
    }

    /// Gives the memory of the texts back.
    pub fn drop_texts(&mut self, worker: &mut Worker) {
        worker.recycle(std::mem::take(&mut self.texts));
    }

    /// What is wrong with the message under a schema.
    #[inline]
    fn fault(&self, schema: &Schema) -> Option<String> {
        match schema {
            Schema::Json(schema) => match self.json.as_ref()? {
                // The short answer is the cheap one; what is wrong is asked only when something is.
                Ok(document) if schema.is_valid(document) => None,
                Ok(document) => Some(told(schema.check(document))),
                Err(JsonFault::NotText) => Some("not UTF-8, so not JSON".to_owned()),
                Err(JsonFault::Json(fault)) => Some(fault.to_string()),
            },
            Schema::MessagePack(schema) => match self.msgpack.as_ref()? {
                Ok(tree) if schema.is_valid(tree) => None,
                Ok(tree) => Some(told(schema.check(tree))),
                Err(fault) => Some(fault.to_string()),
            },
            Schema::Protobuf { reading, constraints } => {
                let (_, read) = self.protobuf.iter().find(|(known, _)| std::ptr::eq(*known, &**reading))?;
                match (read, constraints) {
                    (Err(fault), _) => Some(fault.to_string()),
                    (Ok(Some(tree)), Some(schema)) if !schema.is_valid(tree) => {
                        Some(told(schema.check(tree)))
                    }
                    (Ok(_), _) => None,
                }
            }
        }
    }
}

/// Nothing is kept where no pattern asks for it.
fn text_sink<'t>(texts: &'t mut Vec<u8>, plan: &Plan, worker: &mut Worker) -> impl FnMut(&[u8]) + 't {
    let is_wanted = plan.scan.is_some();
    if is_wanted && texts.capacity() == 0 {
        *texts = worker.spare();
    }
    move |text| {
        if is_wanted && !text.is_empty() {
            texts.push(SEPARATOR);
            texts.extend_from_slice(text);
        }
    }
}

fn told(checked: Result<(), json::Violation>) -> String {
    checked.err().map_or_else(String::new, |violation| violation.to_string())
}

/// Asks the schemas. `Ok(Some(..))`: one that only alerts was broken.
///
/// # Errors
/// The first violation that stops the message.
#[inline]
pub(crate) fn check(plan: &Plan, opcode: Opcode, decoded: &Decoded<'_>) -> Result<Option<Finding>, Stop> {
    let mut alert = None;
    for each in plan.schemas.iter().filter(|each| each.messages.contains(opcode)) {
        let SchemaPlan { schema, rule, action, .. } = each;
        let Some(detail) = decoded.fault(schema) else { continue };
        let finding = Finding { rule: *rule, action: *action, at: None, detail };
        if *action != Action::Alert {
            return Err(Stop::Finding(finding));
        }
        alert = alert.or(Some(finding));
    }
    Ok(alert)
}
