//! Schema: the message decoded, once for each format, under every schema that looks at it.

use std::borrow::Cow;

use wsi_policy::{Action, UnknownTypes};
use wsi_schema::{Field, Pointer, json, msgpack, protobuf, tree::Tree};
use wsi_ws::Opcode;

use crate::{
    engine::{Engine, Format, Place, Plan, Reading, Registry, Schema, SchemaPlan, Schemas, TypeSchema},
    pipeline::{Finding, Stop},
    worker::Worker,
};

/// Stands between the texts of a message: no letter, no space, and in no text that a person writes. No NUL, which is passed over
/// within a word.
pub(super) const SEPARATOR: u8 = 0x1f;

/// What decoding a message gave. A fault is held until the schemas are asked, because they say what follows from it.
#[derive(Debug, Default)]
pub(crate) struct Decoded<'a> {
    json: Option<Result<json::Document<'a>, JsonFault>>,
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

/// A message, and what says how it is read.
#[derive(Clone, Copy)]
struct Source<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    payload: &'a [u8],
    text: Option<&'a str>,
}

/// Decodes the message, if any schema looks at it.
#[inline]
pub(crate) fn decode<'a>(
    engine: &'a Engine,
    plan: &'a Plan,
    opcode: Opcode,
    payload: &'a [u8],
    text: Option<&'a str>,
    worker: &mut Worker,
) -> Option<Decoded<'a>> {
    let source = Source { engine, plan, payload, text };
    let mut decoded = None;
    for each in plan.schemas.iter().filter(|each| each.messages.contains(opcode)) {
        decoded.get_or_insert_with(Decoded::default).read_for(&each.schemas, source, worker);
    }
    for (_, format) in plan.readings.iter().filter(|(messages, _)| messages.contains(opcode)) {
        decoded.get_or_insert_with(Decoded::default).read(format, source, worker);
    }
    decoded
}

impl<'a> Decoded<'a> {
    #[inline]
    fn read_for(&mut self, schemas: &'a Schemas, source: Source<'a>, worker: &mut Worker) {
        self.read(&schemas.format, source, worker);
        let Some(registry) = &schemas.registry else { return };
        if let Some((_, kind)) = self.kind(&schemas.format, registry)
            && let Some(format) = &kind.format
        {
            self.read(format, source, worker);
        }
    }

    /// Once for each format.
    #[inline]
    fn read(&mut self, format: &'a Format, source: Source<'a>, worker: &mut Worker) {
        match format {
            Format::Json => self.read_json(source),
            Format::MessagePack => self.read_msgpack(source, worker),
            Format::Protobuf(reading) => self.read_protobuf(reading, source, worker),
        }
    }

    #[inline]
    fn read_json(&mut self, source: Source<'a>) {
        if self.json.is_none() {
            let text = source.text.or_else(|| simdutf8::basic::from_utf8(source.payload).ok());
            self.json = Some(text.ok_or(JsonFault::NotText).and_then(|text| {
                json::Document::parse(text, &source.engine.json_limits).map_err(JsonFault::Json)
            }));
        }
    }

    fn read_msgpack(&mut self, source: Source<'a>, worker: &mut Worker) {
        if self.msgpack.is_none() {
            let sink = text_sink(&mut self.texts, source.plan, worker);
            self.msgpack = Some(msgpack::decode(source.payload, &source.engine.json_limits, sink));
        }
    }

    fn read_protobuf(&mut self, reading: &'a Reading, source: Source<'a>, worker: &mut Worker) {
        if self.protobuf.iter().any(|(known, _)| std::ptr::eq(*known, reading)) {
            return;
        }
        let (payload, limits, unknown) = (source.payload, &source.engine.json_limits, reading.unknown);
        let sink = text_sink(&mut self.texts, source.plan, worker);
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

    /// Whether a binary message that schemas look at could not be decoded to its end, so that [`Decoded::texts`] lacks some.
    pub fn is_incomplete(&self, plan: &Plan, opcode: Opcode) -> bool {
        let mut formats = self.formats(plan, opcode).filter(|format| !matches!(format, Format::Json));
        formats.any(|each| self.unreadable(each).is_some())
    }

    /// What the schemas that look at the message read it as: for each the format of the message's own type, which knows more of
    /// it, before that of all.
    pub fn formats<'p>(&self, plan: &'p Plan, opcode: Opcode) -> impl Iterator<Item = &'p Format> {
        let schemas = plan.schemas.iter().filter(move |each| each.messages.contains(opcode));
        schemas.map(|each| &each.schemas).flat_map(|schemas| {
            let own = schemas.registry.as_ref().and_then(|registry| self.kind(&schemas.format, registry));
            let own = own.and_then(|(_, kind)| kind.format.as_ref());
            [own, Some(&schemas.format)].into_iter().flatten()
        })
    }

    /// Gives the memory of the texts back.
    pub fn drop_texts(&mut self, worker: &mut Worker) {
        worker.recycle(std::mem::take(&mut self.texts));
    }

    /// What is wrong with the message under the schemas that hold for it: a place in it, a keyword and a schema, never a value.
    #[inline]
    fn fault(&self, schemas: &Schemas) -> Option<String> {
        let Schemas { format, schema, registry } = schemas;
        if let Some(fault) = self.unreadable(format) {
            return Some(fault);
        }
        if let Some(violation) = schema.as_ref().and_then(|schema| self.violation(format, schema)) {
            return Some(violation.to_string());
        }
        self.fault_of_type(format, registry.as_deref()?)
    }

    /// Why the message is none of its format. `None` also where nobody wanted it read so.
    #[inline]
    pub fn unreadable(&self, format: &Format) -> Option<String> {
        match format {
            Format::Json => match self.json.as_ref()? {
                Ok(_) => None,
                Err(JsonFault::NotText) => Some("not UTF-8, so not JSON".to_owned()),
                Err(JsonFault::Json(fault)) => Some(fault.to_string()),
            },
            Format::MessagePack => Some(self.msgpack.as_ref()?.as_ref().err()?.to_string()),
            Format::Protobuf(reading) => Some(self.protobuf(reading)?.as_ref().err()?.to_string()),
        }
    }

    #[inline]
    fn violation(&self, format: &Format, schema: &Schema) -> Option<json::Violation> {
        // The short answer is the cheap one; what is wrong is asked only when something is.
        match schema {
            Schema::Json(schema) => {
                let document = self.json.as_ref()?.as_ref().ok()?;
                if schema.is_valid(document) { None } else { schema.check(document).err() }
            }
            Schema::Tree(schema) => {
                let tree = self.tree(format)?;
                if schema.is_valid(tree) { None } else { schema.check(tree).err() }
            }
        }
    }

    fn fault_of_type(&self, format: &Format, registry: &Registry) -> Option<String> {
        let Some((name, kind)) = self.kind(format, registry) else {
            let place = &registry.place_name;
            return (registry.unknown_types == UnknownTypes::Reject).then(|| {
                format!("\"{place}\" breaks \"discriminator\": it names no type that has a schema")
            });
        };
        let format = kind.format.as_ref().unwrap_or(format);
        if let Some(fault) = self.unreadable(format) {
            return Some(format!("{fault}, read as \"{name}\""));
        }
        let violation = self.violation(format, kind.schema.as_ref()?)?;
        Some(format!("{violation} \"{name}\""))
    }

    /// The message's type, by its configured name. `None`: it names none that has a schema.
    fn kind<'r>(&self, format: &Format, registry: &'r Registry) -> Option<(&'r str, &'r TypeSchema)> {
        let name = self.name(format, &registry.place)?;
        registry.types.get_key_value(&*name).map(|(name, kind)| (&**name, kind))
    }

    /// What stands at `place`, if it is a name.
    pub fn name<'s>(&'s self, format: &Format, place: &'s Place) -> Option<Cow<'s, str>> {
        match place {
            Place::Field(pointer) => {
                let field = self.field(format, pointer)?;
                // Who reads a `1.0` may take it for a 1.
                field.as_name().or_else(|| Some(Cow::Owned(field.as_integer()?.to_string())))
            }
            Place::Oneof(oneof) => self.tree(format)?.member(oneof).map(Cow::Borrowed),
        }
    }

    /// The whole number at `place`, in digits too; `None`: there is nothing, `Some(None)`: something else.
    pub fn number(&self, format: &Format, place: &Place) -> Option<Option<i128>> {
        let Place::Field(pointer) = place else { return None };
        let field = self.field(format, pointer)?;
        let text = || field.as_name().and_then(|text| text.parse().ok());
        Some(field.as_integer().or_else(text))
    }

    fn field(&self, format: &Format, pointer: &Pointer) -> Option<Field<'_>> {
        match format {
            Format::Json => self.json.as_ref()?.as_ref().ok()?.field(pointer),
            Format::MessagePack | Format::Protobuf(_) => self.tree(format)?.field(pointer),
        }
    }

    fn tree(&self, format: &Format) -> Option<&Tree<'a>> {
        match format {
            Format::Json => None,
            Format::MessagePack => self.msgpack.as_ref()?.as_ref().ok(),
            Format::Protobuf(reading) => self.protobuf(reading)?.as_ref().ok()?.as_ref(),
        }
    }

    fn protobuf(&self, reading: &Reading) -> Option<&Result<Option<Tree<'a>>, protobuf::Fault>> {
        self.protobuf.iter().find(|(known, _)| std::ptr::eq(*known, reading)).map(|(_, read)| read)
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

/// Asks the schemas. `Ok(Some(..))`: one that only alerts was broken.
///
/// # Errors
/// The first violation that stops the message.
#[inline]
pub(crate) fn check(plan: &Plan, opcode: Opcode, decoded: &Decoded<'_>) -> Result<Option<Finding>, Stop> {
    let mut alert = None;
    for each in plan.schemas.iter().filter(|each| each.messages.contains(opcode)) {
        let SchemaPlan { schemas, rule, action, .. } = each;
        let Some(detail) = decoded.fault(schemas) else { continue };
        let finding = Finding { rule: *rule, action: *action, at: None, detail };
        if *action != Action::Alert {
            return Err(Stop::Finding(finding));
        }
        alert = alert.or(Some(finding));
    }
    Ok(alert)
}
