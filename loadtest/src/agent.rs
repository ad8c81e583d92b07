//! Load for an agent of a Sentinel proxy: frame events over a unix socket, one in flight on each connection, as a proxy has it.

use std::{
    fmt,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use crate::{
    Error,
    cpu::CpuSample,
    poller::{Interest, Poller},
};

/// Slower answers count as this slow.
const LATENCY_NS_MAX: u64 = 60_000_000_000;
const ANSWER_SIZE_MAX: usize = 64 << 10;
const SILENCE_MAX: Duration = Duration::from_secs(10);
const FRAME: u8 = 0x15;
const HANDSHAKE: u8 = 0x01;

/// One run.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The agent's unix socket.
    pub socket: PathBuf,
    /// 1 or 2.
    pub version: u8,
    pub connections: usize,
    /// Bytes of payload of a frame, before base64.
    pub size: usize,
    pub warmup: Duration,
    pub duration: Duration,
    /// Processes whose CPU time is told.
    pub pids: Vec<u32>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct AgentReport {
    pub size: usize,
    pub connections: usize,
    pub events: u64,
    pub seconds: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    /// CPU time of the processes for each event.
    pub cpu_us: Option<f64>,
}

impl AgentReport {
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "size": self.size,
            "connections": self.connections,
            "events": self.events,
            "events_per_second": self.events_per_second(),
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "cpu_us": self.cpu_us,
        })
    }
}

impl fmt::Display for AgentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, connections, p50_us, p99_us, .. } = self;
        write!(f, "{size:>7} B  {connections:>2} connections  {:>9.0} events/s", self.events_per_second())?;
        write!(f, "  p50 {p50_us:>7.1} us  p99 {p99_us:>7.1} us")?;
        if let Some(cpu_us) = self.cpu_us {
            write!(f, "  CPU {cpu_us:>6.1} us an event")?;
        }
        writeln!(f)
    }
}

/// Asks an agent about benign frames from a client, and checks that it allows each.
///
/// # Errors
/// An agent that can't be reached, or whose answer is not "allow".
pub fn agent(options: &AgentOptions) -> Result<AgentReport, Error> {
    let mut links = Vec::new();
    for number in 0..options.connections {
        links.push(Link::open(options, number)?);
    }
    let failed = || Error::io("load generator", "check the limits of this user (ulimit -a)");
    let poller = Poller::new().map_err(failed())?;
    for (number, link) in links.iter().enumerate() {
        poller.add(&link.stream, number, Interest::Read).map_err(failed())?;
    }
    drive(&poller, &mut links, options.warmup, &mut histogram()?)?;
    let mut latency_ns = histogram()?;
    let before = CpuSample::take(&options.pids)?;
    let seconds = drive(&poller, &mut links, options.duration, &mut latency_ns)?;
    let cpu: Duration = before.elapsed()?.iter().map(|each| each.used).sum();
    let events = latency_ns.len();
    let us = |quantile| latency_ns.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(AgentReport {
        size: options.size,
        connections: options.connections,
        events,
        seconds,
        p50_us: us(0.5),
        p99_us: us(0.99),
        cpu_us: (!options.pids.is_empty()).then(|| cpu.as_secs_f64() * 1e6 / events.max(1) as f64),
    })
}

fn histogram() -> Result<Histogram<u64>, Error> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).map_err(|error| Error::Options(error.to_string()))
}

/// Sends one event on each link and another one for each answer, for `duration`, and waits for the last ones. Seconds.
fn drive(
    poller: &Poller,
    links: &mut [Link],
    duration: Duration,
    latency_ns: &mut Histogram<u64>,
) -> Result<f64, Error> {
    let started = Instant::now();
    for link in &mut *links {
        link.ask()?;
    }
    let (mut ready, mut waiting) = (Vec::new(), links.len());
    while waiting > 0 {
        if let [link] = &mut *links {
            // Without a poller between, as a proxy's own runtime can't: the latency is the agent's.
            link.await_answer(latency_ns)?;
            if started.elapsed() < duration {
                link.ask()?
            } else {
                waiting -= 1
            }
            continue;
        }
        poller.wait(&mut ready, Some(SILENCE_MAX)).map_err(Link::failed())?;
        if ready.is_empty() {
            return Err(Error::Options("the agent has not answered for 10 s; see its log".into()));
        }
        for each in &ready {
            let Some(link) = links.get_mut(each.token) else { continue };
            link.await_answer(latency_ns)?;
            if started.elapsed() < duration { link.ask()? } else { waiting -= 1 }
        }
    }
    Ok(started.elapsed().as_secs_f64())
}

/// One connection, and one WebSocket that its events are about.
struct Link {
    stream: UnixStream,
    version: u8,
    event: Vec<u8>,
    /// Where the frame's index goes, and what stood behind it.
    index_at: usize,
    tail: &'static [u8],
    index: u64,
    asked: Instant,
    answer: Vec<u8>,
}

impl Link {
    fn open(options: &AgentOptions, number: usize) -> Result<Self, Error> {
        let what = || format!("connection {number} to {}", options.socket.display());
        let advice = "is the agent running, and may you connect to its socket?";
        let stream = UnixStream::connect(&options.socket).map_err(Error::io(what(), advice))?;
        stream.set_read_timeout(Some(SILENCE_MAX)).map_err(Self::failed())?;
        // As a proxy makes them: 11 characters of base 58.
        let letters = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZ";
        let letter = |at: u32| char::from(letters[(number / 33_usize.pow(at)) % 33]);
        let id: String = (0..8).map(|at| letter(at % 3)).chain(unique()).collect();
        let data = base64(&payload(options.size));
        let fields = format!(
            "{{\"client_ip\":\"203.0.113.5\",\"client_to_server\":true,\"correlation_id\":\"{id}\",\"data\":\"{data}\",\
             \"fin\":true,\"opcode\":\"text\",\"route_id\":\"ws\",\"frame_index\":"
        );
        let (head, tail): (_, &[u8]) = match options.version {
            1 => (format!("{{\"version\":1,\"event_type\":\"web_socket_frame\",\"payload\":{fields}"), b"}}"),
            _ => (fields, b"}"),
        };
        let mut event = vec![0; 4];
        if options.version != 1 {
            event.push(FRAME);
        }
        event.extend_from_slice(head.as_bytes());
        let (index_at, asked) = (event.len(), Instant::now());
        let version = options.version;
        let mut link = Self { stream, version, event, index_at, tail, index: 0, asked, answer: Vec::new() };
        if version != 1 {
            link.shake_hands()?;
        }
        Ok(link)
    }

    fn shake_hands(&mut self) -> Result<(), Error> {
        let body = b"{\"supported_versions\":[2],\"proxy_id\":\"loadtest\",\"proxy_version\":\"0.6.54\",\"config\":null,\
            \"supported_encodings\":[\"json\"]}";
        let mut message = (body.len() as u32 + 1).to_be_bytes().to_vec();
        message.push(HANDSHAKE);
        message.extend_from_slice(body);
        self.stream.write_all(&message).map_err(Self::failed())?;
        self.read_answer()?;
        let accepted = contains(&self.answer, b"\"success\":true");
        if accepted { Ok(()) } else { Err(self.refused()) }
    }

    fn ask(&mut self) -> Result<(), Error> {
        self.event.truncate(self.index_at);
        let _ = write!(self.event, "{}", self.index);
        self.event.extend_from_slice(self.tail);
        self.index += 1;
        let size = self.event.len() as u32 - 4;
        self.event[..4].copy_from_slice(&size.to_be_bytes());
        self.asked = Instant::now();
        self.stream.write_all(&self.event).map_err(Self::failed())
    }

    fn await_answer(&mut self, latency_ns: &mut Histogram<u64>) -> Result<(), Error> {
        self.read_answer()?;
        latency_ns.saturating_record(self.asked.elapsed().as_nanos() as u64);
        let allowed = contains(&self.answer, b"\"websocket_decision\":\"allow\"");
        if allowed { Ok(()) } else { Err(self.refused()) }
    }

    /// An answer comes in one piece, nearly always: one read is enough.
    fn read_answer(&mut self) -> Result<(), Error> {
        self.answer.resize(ANSWER_SIZE_MAX, 0);
        let mut held = 0;
        loop {
            let size = self.stream.read(&mut self.answer[held..]).map_err(Self::failed())?;
            held += size;
            let wanted = match self.answer[..held] {
                [a, b, c, d, ..] => u32::from_be_bytes([a, b, c, d]) as usize + 4,
                _ => 4,
            };
            if size == 0 || wanted > ANSWER_SIZE_MAX {
                self.answer.truncate(held);
                return Err(self.refused());
            }
            if held >= 4 && held >= wanted {
                self.answer.truncate(wanted);
                return Ok(());
            }
        }
    }

    fn refused(&self) -> Error {
        let answer = String::from_utf8_lossy(self.answer.get(4..).unwrap_or_default());
        let version = self.version;
        Error::Options(format!(
            "frame {} was not allowed; does the agent speak version {version}, and let benign text pass? It answered: {answer}",
            self.index
        ))
    }

    fn failed() -> impl FnOnce(std::io::Error) -> Error {
        Error::io("a connection to the agent", "see the agent's log; it may have ended the connection")
    }
}

/// Sessions outlive a run: another one must not go on with their ids.
fn unique() -> impl Iterator<Item = char> {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut rest = (nanos.as_micros() % 24_389) as u32;
    (0..3).map(move |_| {
        let digit = rest % 29;
        rest /= 29;
        char::from(b"abcdefghijkmnopqrstuvwxyz1234"[digit as usize])
    })
}

/// Words in a JSON string, which a schema can look at.
fn payload(size: usize) -> Vec<u8> {
    let words = b"the quick brown fox jumps over the lazy dog and runs home again ";
    let mut text = vec![b'"'];
    text.extend(words.iter().cycle().take(size.saturating_sub(2)));
    text.push(b'"');
    text
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let letter = |group: u32, at: u32| char::from(LETTERS[(group >> at & 63) as usize]);
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        text.extend([letter(group, 18), letter(group, 12)]);
        text.push(if chunk.len() > 1 { letter(group, 6) } else { '=' });
        text.push(if chunk.len() > 2 { letter(group, 0) } else { '=' });
    }
    text
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(payload(64).len(), 64);
    }
}
