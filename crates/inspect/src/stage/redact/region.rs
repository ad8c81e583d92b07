//! Where a message may be changed, and into what it must not turn.

use std::ops::Range;

use wsi_schema::{
    json::{self, DEPTH_MAX_CEILING, Document},
    msgpack,
};
use wsi_ws::Opcode;

use crate::{
    engine::{Engine, Format, Plan},
    stage::schema::{self, SEPARATOR},
    worker::Worker,
};

/// What a message is to its receiver, as far as we can tell.
#[derive(Debug)]
pub(super) enum Shape {
    /// A JSON document, or one but for these faults that are none of syntax.
    Json(Option<json::Fault>),
    /// Decoded as its validations say.
    Decoded(Parts),
    Text,
    Bytes,
}

/// The texts and binary values of a decoded message.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// One after the other, as the patterns see them.
    pub texts: Vec<u8>,
    /// Where each begins in `texts`, and where it is in the message.
    pub places: Vec<(usize, Range<usize>)>,
    /// How many formats it was decoded as.
    formats: usize,
}

/// A part of a message in which bytes may be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub range: Range<usize>,
    pub units: Units,
}

/// What is replaced as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    Bytes,
    /// Of UTF-8.
    Characters,
    /// Of a JSON string, escaped or not.
    Escapes,
}

impl Shape {
    /// `None`: it may be JSON, but nests too deep to be sure.
    pub fn of(
        engine: &Engine,
        plan: &Plan,
        opcode: Opcode,
        payload: &[u8],
        worker: &mut Worker,
    ) -> Option<Self> {
        if opcode.is_control() {
            return Some(Self::plain(payload));
        }
        if opcode == Opcode::Binary
            && let Some(parts) = Parts::decode(engine, plan, payload, worker)
        {
            return Some(Self::Decoded(parts));
        }
        let Ok(text) = std::str::from_utf8(payload) else { return Some(Self::Bytes) };
        // A number or a word alone is as well a text of somebody's, unless the policy says that it is JSON.
        let is_said_to_be = plan
            .schemas
            .iter()
            .any(|each| each.messages.contains(opcode) && matches!(each.schemas.format, Format::Json));
        if !is_said_to_be && !text.trim_ascii_start().starts_with(['{', '[', '"']) {
            return Some(Self::Text);
        }
        match Document::parse(text, &json::Limits { depth_max: DEPTH_MAX_CEILING }) {
            Ok(_) => Some(Self::Json(None)),
            Err(fault @ (json::Fault::DuplicateKey | json::Fault::IntegerTooLarge)) => {
                Some(Self::Json(Some(fault)))
            }
            Err(json::Fault::Syntax { .. }) => Some(Self::Text),
            Err(json::Fault::TooDeep | json::Fault::TooLong) => None,
        }
    }

    /// In the order of the message, without overlap.
    pub fn regions<'p>(&'p self, payload: &'p [u8]) -> Box<dyn Iterator<Item = Region> + 'p> {
        let whole = |units| Box::new(std::iter::once(Region { range: 0..payload.len(), units }));
        match self {
            Self::Json(_) => {
                let text = std::str::from_utf8(payload).unwrap_or_default();
                Box::new(json::strings(text).map(|range| Region { range, units: Units::Escapes }))
            }
            Self::Decoded(parts) => Box::new(parts.places.iter().map(|(_, range)| {
                let is_text = payload.get(range.clone()).is_some_and(|it| std::str::from_utf8(it).is_ok());
                let units = if is_text { Units::Characters } else { Units::Bytes };
                Region { range: range.clone(), units }
            })),
            Self::Text => whole(Units::Characters),
            Self::Bytes => whole(Units::Bytes),
        }
    }

    pub fn parts(&self) -> Option<&Parts> {
        match self {
            Self::Decoded(parts) => Some(parts),
            _ => None,
        }
    }

    /// Whether a message of this shape is as good to its receiver when it has become one of `other`.
    pub fn is_kept(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Json(before), Self::Json(after)) => after.is_none() || before == after,
            (Self::Decoded(before), Self::Decoded(after)) => before.formats == after.formats,
            // Nobody had to find a document in it.
            (Self::Text, Self::Text | Self::Json(_)) => true,
            (Self::Bytes, Self::Bytes | Self::Text | Self::Json(_)) => true,
            _ => false,
        }
    }

    fn plain(payload: &[u8]) -> Self {
        if std::str::from_utf8(payload).is_ok() { Self::Text } else { Self::Bytes }
    }
}

impl Region {
    /// Where the first unit from `at` on may begin that touches what is at `start` or after it: not later than that.
    pub fn skip(&self, at: usize, start: usize, payload: &[u8]) -> usize {
        match self.units {
            Units::Bytes => at.max(start),
            Units::Characters => {
                let is_within = |place: usize| payload.get(place).is_some_and(|byte| byte & 0xc0 == 0x80);
                (at..=at.max(start)).rev().find(|place| !is_within(*place)).unwrap_or(at)
            }
            // An escape is known only from its beginning.
            Units::Escapes => at,
        }
    }

    /// Bytes of the unit at `at`, which lies in the region.
    pub fn unit_size(&self, at: usize, payload: &[u8]) -> usize {
        let rest = &payload[at..self.range.end];
        match (self.units, rest.first()) {
            (Units::Escapes, _) => json::character_size(rest),
            (Units::Characters, Some(0xc0..)) => json::character_size(rest),
            _ => 1,
        }
    }
}

impl Parts {
    /// What the validations of binary messages decode; `None`: there are none, or it is not what they say.
    fn decode(engine: &Engine, plan: &Plan, payload: &[u8], worker: &mut Worker) -> Option<Self> {
        let mut decoded = schema::decode(engine, plan, Opcode::Binary, payload, None, worker)?;
        // Here they are needed with their places.
        decoded.drop_texts(worker);
        let mut all: Option<Self> = None;
        let mut is_packed = false;
        for format in decoded.formats(plan, Opcode::Binary) {
            let mut parts = Self::default();
            let mut sink = |text: &[u8]| parts.push(payload, text);
            let is_read = match format {
                Format::Json => false,
                Format::MessagePack => {
                    !std::mem::replace(&mut is_packed, true)
                        && msgpack::decode(payload, &engine.json_limits, &mut sink).is_ok()
                }
                Format::Protobuf(reading) => {
                    reading.kind.verify(payload, &engine.json_limits, reading.unknown, &mut sink).is_ok()
                }
            };
            if is_read {
                // Of a message that is several things to several receivers, the first says where it may be changed.
                all.get_or_insert(parts).formats += 1;
            }
        }
        all
    }

    /// `text` lies in `payload`.
    fn push(&mut self, payload: &[u8], text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let start = text.as_ptr().addr() - payload.as_ptr().addr();
        self.texts.push(SEPARATOR);
        self.places.push((self.texts.len(), start..start + text.len()));
        self.texts.extend_from_slice(text);
    }

    /// Where in the message a span of `texts` is.
    pub fn source(&self, span: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let first = self.places.partition_point(|(at, range)| at + range.len() <= span.start);
        let touched = self.places[first..].iter().take_while(move |(at, _)| *at < span.end);
        touched.map(move |(at, range)| {
            let start = range.start + span.start.saturating_sub(*at);
            let end = (range.start + (span.end - at)).min(range.end);
            start..end
        })
    }
}
