//! JSON lines: a format of our own, for what other tools can write. `config/README.md` describes it.

use std::{
    borrow::Cow,
    collections::HashMap,
    io::{BufRead, Read},
    net::IpAddr,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::Deserialize;
use wsi_config::policy::Direction;
use wsi_inspect::Opcode;

use super::{CONTROL_SIZE_MAX, TIME_MAX_MS};
use crate::replay::{
    connection::Connection,
    opening::{CLIENT, Opening, Url, acceptance, request},
    player::{Fault, Player},
};

/// The longest line, in bytes.
const LINE_SIZE_MAX: u64 = 256 << 20;
const CONNECTIONS_MAX: usize = 65_536;

const FIELDS: &str = "a line is {\"connection\": \"...\", \"time_ms\": 0, \"direction\": \"to_server\" or \"to_client\", \
    \"opcode\": \"text\", \"binary\", \"ping\", \"pong\" or \"close\", \"data\": \"...\" or \"data_base64\": \"...\"}, and \
    the first of a connection may have url, origin, subprotocol and client";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    connection: Cow<'a, str>,
    time_ms: f64,
    direction: Way,
    opcode: Kind,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
    code: Option<u16>,
    #[serde(borrow)]
    url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    origin: Option<Cow<'a, str>>,
    #[serde(borrow)]
    subprotocol: Option<Cow<'a, str>>,
    client: Option<IpAddr>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    ToServer,
    ToClient,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Binary,
    Ping,
    Pong,
    Close,
}

/// # Errors
/// The first mistake, with its line, and what to do; or the output's.
pub(in crate::replay) fn play(
    player: &mut Player<'_>,
    mut file: impl BufRead,
    name: &str,
) -> Result<(), Fault> {
    let mut open = Open::default();
    let mut text = Vec::new();
    let mut number = 0_u64;
    loop {
        number += 1;
        text.clear();
        let taken = file
            .by_ref()
            .take(LINE_SIZE_MAX + 1)
            .read_until(b'\n', &mut text)
            .map_err(|error| format!("{name}:{number}: can't be read: {error}"))?;
        if taken == 0 {
            break;
        }
        if taken as u64 > LINE_SIZE_MAX {
            return Err(
                format!("{name}:{number}: longer than {} MiB; leave it out", LINE_SIZE_MAX >> 20).into()
            );
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        open.play(player, &text).map_err(|why| format!("{name}:{number}: {why}"))?;
    }
    if open.connections.is_empty() {
        return Err(format!("{name}: has no message; {FIELDS}").into());
    }
    open.connections.into_iter().try_for_each(|connection| player.close(connection))
}

/// Connections in the order of their first lines.
#[derive(Default)]
struct Open {
    connections: Vec<Connection>,
    places: HashMap<String, usize>,
    /// By connection, in milliseconds.
    times: Vec<f64>,
}

impl Open {
    fn play(&mut self, player: &mut Player<'_>, text: &[u8]) -> Result<(), Fault> {
        let line: Line<'_> =
            serde_json::from_slice(text.trim_ascii()).map_err(|error| mistake_of(text, &error))?;
        if !(0.0..=TIME_MAX_MS).contains(&line.time_ms) {
            let why =
                format!("time_ms {} is no time; give milliseconds from 0 to {TIME_MAX_MS:e}", line.time_ms);
            return Err(why.into());
        }
        let payload = line.payload()?;
        // In range as just checked.
        let at_ns = (line.time_ms * 1e6) as u64;
        let place = self.place(player, &line, at_ns)?;
        if line.time_ms < self.times[place] {
            let why = format!(
                "time_ms goes back from {} to {} on connection {:?}; sort its lines by time",
                self.times[place], line.time_ms, line.connection
            );
            return Err(why.into());
        }
        self.times[place] = line.time_ms;
        player.message(
            &mut self.connections[place],
            line.direction.into(),
            at_ns,
            line.opcode.bits(),
            &payload,
        )
    }

    fn place(&mut self, player: &mut Player<'_>, line: &Line<'_>, at_ns: u64) -> Result<usize, Fault> {
        if let Some(place) = self.places.get(&*line.connection) {
            if line.says_how_it_opened() {
                let why = "url, origin, subprotocol and client belong on the first line of a connection; remove them here";
                return Err(why.into());
            }
            return Ok(*place);
        }
        if self.connections.len() == CONNECTIONS_MAX {
            return Err(format!("more than {CONNECTIONS_MAX} connections; split the file").into());
        }
        let opening = line.opening(at_ns)?;
        let name = line.connection.clone().into_owned();
        self.connections.push(player.open(name.clone(), &opening)?);
        self.times.push(line.time_ms);
        self.places.insert(name, self.connections.len() - 1);
        Ok(self.connections.len() - 1)
    }
}

impl Line<'_> {
    fn says_how_it_opened(&self) -> bool {
        self.url.is_some() || self.origin.is_some() || self.subprotocol.is_some() || self.client.is_some()
    }

    fn opening(&self, at_ns: u64) -> Result<Opening, String> {
        let client = self.client.unwrap_or(CLIENT);
        let Some(text) = &self.url else {
            if self.origin.is_some() || self.subprotocol.is_some() {
                return Err("origin and subprotocol need a url beside them; add the connection's".to_owned());
            }
            let at_ns = Some(at_ns);
            return Ok(Opening { at_ns, client, port: None, request: None, answer: None, is_wire: false });
        };
        let url = Url::parse(text)
            .ok_or_else(|| format!("url {text:?} is not a WebSocket's; give one as \"wss://host/path\""))?;
        let recorded = [("Origin", &self.origin), ("Sec-WebSocket-Protocol", &self.subprotocol)];
        let fields: Vec<_> =
            recorded.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        if fields.iter().any(|(_, value)| value.contains(char::is_control)) || text.contains(char::is_control)
        {
            return Err(
                "url, origin and subprotocol can't have line breaks or control characters; remove them"
                    .into(),
            );
        }
        let request = request(&url, &fields);
        // A server that speaks one of them takes the first.
        let chosen = self.subprotocol.as_deref().and_then(|names| names.split(',').next()).map(str::trim);
        let fields: Vec<_> = chosen.map(|name| ("Sec-WebSocket-Protocol", name)).into_iter().collect();
        let answer = Some(acceptance(&request, &fields));
        let port = Some(url.port);
        Ok(Opening { at_ns: Some(at_ns), client, port, request: Some(request), answer, is_wire: false })
    }

    fn payload(&self) -> Result<Vec<u8>, String> {
        let mut payload = match (&self.data, &self.data_base64) {
            (Some(_), Some(_)) => return Err("has both data and data_base64; keep one".to_owned()),
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => BASE64_STANDARD
                .decode(text.as_bytes())
                .map_err(|error| format!("data_base64: {error}; give standard base64 with its padding"))?,
            (None, None) if matches!(self.opcode, Kind::Text | Kind::Binary) => {
                return Err("has neither data nor data_base64; add one, empty if need be".to_owned());
            }
            (None, None) => Vec::new(),
        };
        match (self.opcode, self.code, &self.data) {
            (Kind::Close, Some(code), _) if self.data_base64.is_none() => {
                payload.splice(..0, code.to_be_bytes());
            }
            (Kind::Close, Some(_), _) => {
                return Err("has both code and data_base64, which holds the code; keep one".to_owned());
            }
            (Kind::Close, None, Some(text)) if !text.is_empty() => {
                return Err("a close with data needs a code before it; add \"code\": 1000".to_owned());
            }
            (Kind::Close, None, _) => {}
            (_, Some(_), _) => return Err("code belongs to a close; remove it".to_owned()),
            (_, None, _) => {}
        }
        if payload.len() > CONTROL_SIZE_MAX && !matches!(self.opcode, Kind::Text | Kind::Binary) {
            return Err("a ping, pong or close has at most 125 bytes; shorten it".to_owned());
        }
        Ok(payload)
    }
}

impl From<Way> for Direction {
    fn from(way: Way) -> Self {
        match way {
            Way::ToServer => Self::ToServer,
            Way::ToClient => Self::ToClient,
        }
    }
}

impl Kind {
    const fn bits(self) -> u8 {
        match self {
            Self::Text => Opcode::Text.bits(),
            Self::Binary => Opcode::Binary.bits(),
            Self::Ping => Opcode::Ping.bits(),
            Self::Pong => Opcode::Pong.bits(),
            Self::Close => Opcode::Close.bits(),
        }
    }
}

fn mistake_of(text: &[u8], error: &serde_json::Error) -> String {
    if std::str::from_utf8(text).is_err() {
        return "is not UTF-8; save the file as UTF-8, and other bytes as data_base64".to_owned();
    }
    // Its line is always the first, and not the file's.
    let why = error.to_string();
    let why = why.split(" at line ").next().unwrap_or(&why);
    format!("column {}: {why}; {FIELDS}", error.column())
}
