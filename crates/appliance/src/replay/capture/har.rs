//! HAR: the archive that browsers export, with the messages of WebSockets as Chrome writes them (`_webSocketMessages`).
//!
//! One entry is held at a time, as text, and one message of it decoded.

mod archive;

use std::{borrow::Cow, io::BufRead};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize,
    de::{DeserializeSeed, IgnoredAny},
};
use serde_json::value::RawValue;
use wsi_config::policy::Direction;
use wsi_inspect::Opcode;

use self::archive::{Elements, Member};
use super::{CONTROL_SIZE_MAX, TIME_MAX_MS};
use crate::replay::{
    opening::{CLIENT, Opening, Url, acceptance, rejection, request},
    player::{Fault, Player},
};

/// Seconds are smaller, until the year 5138; milliseconds, which some recorders write, have been larger since 1973.
const SECONDS_MAX: f64 = 1e11;

/// # Errors
/// The first mistake, with its entry, and what to do; or the output's.
pub(in crate::replay) fn play(player: &mut Player<'_>, file: impl BufRead, name: &str) -> Result<(), Fault> {
    let mut fault = None;
    let mut sockets = 0;
    let mut index = 0;
    let each = |text: &RawValue| {
        let played = play_entry(player, index, text.get());
        index += 1;
        match played {
            Ok(is_socket) => sockets += u64::from(is_socket),
            Err(why) => fault = Some(format!("{name}: log.entries[{}]{why}", index - 1)),
        }
        fault.is_none()
    };
    let archive = Member { name: "log", value: Member { name: "entries", value: Elements(each) } };
    let mut reader = serde_json::Deserializer::from_reader(file);
    let read = archive.deserialize(&mut reader).and_then(|()| reader.end());
    if let Some(fault) = fault {
        return Err(fault.into());
    }
    read.map_err(|error| format!("{name}: {error}; export the HAR again"))?;
    if sockets == 0 {
        return Err(format!(
            "{name}: none of its {index} entries is a WebSocket; open the developer tools before the page connects, \
             and export when messages have been exchanged"
        )
        .into());
    }
    Ok(())
}

/// Whether it is a WebSocket.
///
/// # Errors
/// What follows the entry's place in a message.
fn play_entry(player: &mut Player<'_>, index: usize, text: &str) -> Result<bool, Fault> {
    // Whatever else is in an archive need not be right.
    if !serde_json::from_str::<Sketch<'_>>(text).is_ok_and(|sketch| sketch.is_socket()) {
        return Ok(false);
    }
    let entry: Entry<'_> = parsed(text).map_err(|why| format!(": {why}"))?;
    let messages = entry.messages.as_deref().unwrap_or_default();
    let first: Option<Message<'_>> = messages.first().and_then(|text| parsed(text.get()).ok());
    let at_ns = first.and_then(|message| message.time_ms()).map(ns);
    let opening = entry.opening(at_ns).map_err(|why| format!(": {why}"))?;
    let url = entry.request.url.split(['?', '#']).next().unwrap_or_default();
    let mut connection =
        player.open(format!("[{index}] {url}"), &opening).map_err(|fault| format!(": {fault}"))?;
    if entry.messages.is_none() {
        player.note(&format!("log.entries[{index}] is a WebSocket whose messages were not recorded"))?;
    }
    let mut now_ns = at_ns.unwrap_or(0);
    for (number, text) in messages.iter().enumerate() {
        let place = |why| format!("._webSocketMessages[{number}]: {why}");
        let message: Message<'_> = parsed(text.get()).map_err(place)?;
        let Some(direction) = message.direction().map_err(place)? else { continue };
        let (opcode, payload) = message.payload().map_err(place)?;
        now_ns = message.time_ms().map_or(now_ns, ns);
        player.message(&mut connection, direction, now_ns, opcode.bits(), &payload)?;
    }
    player.close(connection)?;
    Ok(true)
}

/// Enough to know a WebSocket by.
#[derive(Deserialize)]
struct Sketch<'a> {
    #[serde(rename = "_webSocketMessages")]
    messages: Option<IgnoredAny>,
    #[serde(rename = "_resourceType", borrow)]
    kind: Option<Cow<'a, str>>,
}

impl Sketch<'_> {
    fn is_socket(&self) -> bool {
        self.messages.is_some()
            || self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("websocket"))
    }
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "_webSocketMessages", borrow)]
    messages: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(borrow)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(default, borrow)]
    headers: Vec<Header<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(default)]
    status: i64,
    #[serde(default, borrow)]
    headers: Vec<Header<'a>>,
}

#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
}

impl Entry<'_> {
    fn opening(&self, at_ns: Option<u64>) -> Result<Opening, String> {
        let url = Url::parse(&self.request.url).ok_or_else(|| {
            format!("request.url {:?} is not a WebSocket's; export the HAR again", self.request.url)
        })?;
        let fields = fields_of(&self.request.headers);
        let request = request(&url, &fields);
        let had_key = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
        let (status, headers) =
            self.response.as_ref().map_or((0, &[][..]), |response| (response.status, &response.headers));
        let was_open = status == 101 || self.messages.as_ref().is_some_and(|messages| !messages.is_empty());
        let answer = match u16::try_from(status) {
            _ if was_open => {
                let mut fields = fields_of(headers);
                // It proves that the server saw a key that is not here any more.
                fields.retain(|(name, _)| had_key || !name.eq_ignore_ascii_case("sec-websocket-accept"));
                Some(acceptance(&request, &fields))
            }
            Ok(status @ 100..=999) => Some(rejection(status)),
            _ => None,
        };
        let port = Some(url.port);
        Ok(Opening { at_ns, client: CLIENT, port, request: Some(request), answer, is_wire: false })
    }
}

/// Without those of HTTP/2 that are none; the values of a field that came several times are lines of one.
fn fields_of<'a>(headers: &'a [Header<'_>]) -> Vec<(&'a str, &'a str)> {
    let real = headers.iter().filter(|header| !header.name.starts_with(':'));
    real.flat_map(|header| header.value.split('\n').map(|value| (&*header.name, value.trim()))).collect()
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    time: f64,
    opcode: i64,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl Message<'_> {
    /// `None`: it is what the browser has to say of a connection that failed.
    fn direction(&self) -> Result<Option<Direction>, String> {
        match &*self.kind {
            "send" => Ok(Some(Direction::ToServer)),
            "receive" => Ok(Some(Direction::ToClient)),
            "error" => Ok(None),
            other => Err(format!("type {other:?} is neither \"send\" nor \"receive\"; export the HAR again")),
        }
    }

    /// `None`: it was not recorded.
    fn time_ms(&self) -> Option<f64> {
        let ms = if self.time > SECONDS_MAX { self.time } else { self.time * 1000.0 };
        (0.0..=TIME_MAX_MS).contains(&ms).then_some(ms)
    }

    fn payload(&self) -> Result<(Opcode, Vec<u8>), String> {
        let text = self.data.as_bytes();
        let opcode = u8::try_from(self.opcode).ok().and_then(Opcode::new);
        match opcode {
            Some(Opcode::Text) => Ok((Opcode::Text, text.to_vec())),
            Some(Opcode::Binary) => BASE64_STANDARD
                .decode(text)
                .map(|payload| (Opcode::Binary, payload))
                .map_err(|error| format!("data of a binary message: {error}; it has to be base64")),
            // Recorders don't say with which code.
            Some(Opcode::Close) => Ok((Opcode::Close, Vec::new())),
            Some(opcode @ (Opcode::Ping | Opcode::Pong)) if text.len() <= CONTROL_SIZE_MAX => {
                Ok((opcode, text.to_vec()))
            }
            _ => Err(format!(
                "opcode {} with {} bytes is no message's; 1 is text, and 2 is binary",
                self.opcode,
                text.len()
            )),
        }
    }
}

fn ns(ms: f64) -> u64 {
    // Checked to be in range.
    (ms * 1e6) as u64
}

/// The place in a part of the file would mislead.
fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or(&why);
        format!("{why}; export the HAR again")
    })
}
