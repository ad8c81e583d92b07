//! Handshake: requests and answers that two parsers could read differently, and those that a policy refuses.

use wsi_config::policy::{Compression, Mode, Policy};

use crate::selftest::{
    frames::{FIN, Framer, TEXT},
    handshake::{self, KEY, Offer},
    relay::{Answer, Relay},
    trial::Outcome,
};

/// One attack on the upgrade.
pub(in crate::selftest) struct Upgrade {
    pub group: &'static str,
    pub name: String,
    pub request: Vec<u8>,
    pub respond: Respond,
    /// In detect mode what the policy refuses passes, and is told.
    pub is_told_only: bool,
    /// The request itself is right, so it reaches the server.
    pub reaches_server: bool,
}

/// What the server answers, given what reached it.
pub(in crate::selftest) type Respond = Box<dyn Fn(&[u8]) -> Vec<u8>>;

impl Upgrade {
    /// Sends it, a byte a read if `bytewise`.
    pub fn play(&self, relay: &mut dyn Relay, bytewise: bool) -> Outcome {
        let size = if bytewise { 1 } else { self.request.len().max(1) };
        let reads: Vec<_> = self.request.chunks(size).collect();
        let answer = relay.upgrade(&reads, &self.respond);
        let verdicts = relay.verdicts().len();
        self.judge(&answer, verdicts, bytewise)
    }

    fn judge(&self, answer: &Answer, verdicts: usize, bytewise: bool) -> Outcome {
        if self.is_told_only {
            return if verdicts > 0 { Outcome::Right("told".into()) } else { self.slipped(answer) };
        }
        // A byte at a time, the head is passed on before what follows it is there to be seen.
        let reached = answer.upstream.is_some() && !self.reaches_server && !bytewise;
        let status = handshake::status(&answer.client);
        if answer.is_open || reached || status.is_some_and(|status| status < 300) {
            return self.slipped(answer);
        }
        match status {
            Some(status) => Outcome::Right(format!("HTTP {status}")),
            None => Outcome::Right("no answer".into()),
        }
    }

    fn slipped(&self, answer: &Answer) -> Outcome {
        let bytes = answer.upstream.clone().filter(|_| !self.reaches_server);
        Outcome::Slipped {
            bytes: bytes.unwrap_or_else(|| answer.client.clone()),
            rule: "handshake".to_owned(),
        }
    }
}

/// Every attack on an upgrade that `policy` would accept otherwise.
pub(in crate::selftest) fn all(policy: &Policy) -> Vec<Upgrade> {
    let offer = Offer::new(policy);
    let mut attacks: Vec<_> = spoiled_lines(&offer)
        .into_iter()
        .map(|(name, lines)| request("requests", name, handshake::head(&lines)))
        .chain(spoiled_bytes(&offer).into_iter().map(|(name, bytes)| request("requests", name, bytes)))
        .chain(oversize(&offer).into_iter().map(|(name, bytes)| request("sizes", name, bytes)))
        .collect();
    attacks.extend(answers(&offer));
    let is_told_only = policy.mode == Mode::Detect;
    attacks.extend(refused(policy, &offer).into_iter().map(|attack| Upgrade { is_told_only, ..attack }));
    attacks
}

fn request(group: &'static str, name: &str, request: Vec<u8>) -> Upgrade {
    let respond = Box::new(handshake::answer);
    Upgrade { group, name: name.to_owned(), request, respond, is_told_only: false, reaches_server: false }
}

/// A request with a line more, for each of these.
const LINES_MORE: [(&str, &str); 17] = [
    ("a body by length", "Content-Length: 5\r\n\r\nhello"),
    ("a body in chunks", "Transfer-Encoding: chunked"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 5"),
    ("length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked"),
    ("two keys", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
    ("two hosts", "Host: other.example"),
    ("two versions", "Sec-WebSocket-Version: 8"),
    ("a folded line", "X-Folded: one\r\n two"),
    ("a bare LF", "X-A: b\nX-Smuggled: c"),
    ("a bare CR", "X-A: b\rX-Smuggled: c"),
    ("a NUL in a value", "X-A: b\0c"),
    ("a space before the colon", "X-A : b"),
    ("a space before the colon of Transfer-Encoding", "Transfer-Encoding : chunked"),
    ("a name with a space", "X A: b"),
    ("an empty name", ": b"),
    ("a line without a colon", "nothing"),
    ("a control character in a name", "X\u{1}A: b"),
];

/// A request with a line replaced: what it is called, how the line began, and what stands there.
const LINES_REPLACED: [(&str, &str, &str); 16] = [
    ("HTTP/1.0", "GET", "GET /selftest HTTP/1.0"),
    ("HTTP/0.9", "GET", "GET /selftest"),
    ("HTTP/2.0", "GET", "GET /selftest HTTP/2.0"),
    ("POST", "GET", "POST /selftest HTTP/1.1"),
    ("two spaces in the request line", "GET", "GET  /selftest HTTP/1.1"),
    ("a tab in the request line", "GET", "GET\t/selftest HTTP/1.1"),
    ("a path without a slash", "GET", "GET selftest HTTP/1.1"),
    ("no key", "Sec-WebSocket-Key", ""),
    ("a short key", "Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="),
    ("a key that is no base64", "Sec-WebSocket-Key", "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!=="),
    ("a folded key", "Sec-WebSocket-Key", "Sec-WebSocket-Key:\r\n dGhlIHNhbXBsZSBub25jZQ=="),
    ("no host", "Host", ""),
    ("no version", "Sec-WebSocket-Version", ""),
    ("version 8", "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
    ("upgrade to something else", "Upgrade", "Upgrade: h2c"),
    ("connection without upgrade", "Connection", "Connection: keep-alive"),
];

fn spoiled_lines(offer: &Offer) -> Vec<(&'static str, Vec<String>)> {
    let lines = handshake::lines(offer);
    let more = LINES_MORE.map(|(name, line)| (name, [&lines[..], &[line.to_owned()]].concat()));
    let replaced = LINES_REPLACED.map(|(name, start, line)| (name, replace(&lines, start, line)));
    more.into_iter().chain(replaced).collect()
}

fn replace(lines: &[String], start: &str, line: &str) -> Vec<String> {
    let spoiled = lines.iter().map(|own| if own.starts_with(start) { line } else { own });
    spoiled.filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn spoiled_bytes(offer: &Offer) -> Vec<(&'static str, Vec<u8>)> {
    let right = handshake::request(offer);
    let lf = String::from_utf8_lossy(&right).replace("\r\n", "\n");
    let early = Framer::new(wsi_config::policy::Direction::ToServer).frame(FIN | TEXT, b"early");
    vec![
        ("lines that end in LF", lf.into_bytes()),
        ("a frame before the answer", [&right[..], &early].concat()),
        ("a second request behind", right.repeat(2)),
        ("an empty line before it, and a space", [b"\r\n ", &right[..]].concat()),
    ]
}

fn oversize(offer: &Offer) -> Vec<(&'static str, Vec<u8>)> {
    let with = |more: String| handshake::head(&[&handshake::lines(offer)[..], &[more]].concat());
    let many: Vec<_> = (0..10_000).map(|n| format!("X-{n}: {n}")).collect();
    vec![
        ("10,000 headers", with(many.join("\r\n"))),
        ("a value of 2 MB", with(format!("X-Long: {}", "x".repeat(2_000_000)))),
        ("a name of 1 MB", with(format!("{}: x", "X-Name".repeat(200_000)))),
        ("a request line of 2 MB", format!("GET /{}", "a".repeat(2_000_000)).into_bytes()),
    ]
}

/// A way to spoil the lines of a right answer.
type Spoil = fn(Vec<String>) -> Vec<String>;

const ANSWERS: [(&str, Spoil); 17] = [
    ("a wrong accept", |lines| {
        replace(&lines, "Sec-WebSocket-Accept", "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    }),
    ("an accept of no key", |lines| {
        replace(&lines, "Sec-WebSocket-Accept", "Sec-WebSocket-Accept: 2jmj7l5rSw0yVb/vlWAYkK/YBwk=")
    }),
    ("no accept", |lines| replace(&lines, "Sec-WebSocket-Accept", "")),
    ("two accepts", |lines| with(lines, "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
    ("no upgrade", |lines| replace(&lines, "Upgrade", "")),
    ("no connection", |lines| replace(&lines, "Connection", "")),
    ("upgrade to something else", |lines| replace(&lines, "Upgrade", "Upgrade: h2c")),
    ("an extension that nobody offered", |lines| with(lines, "Sec-WebSocket-Extensions: x-rot13")),
    ("a compression that nobody knows", |lines| {
        with(lines, "Sec-WebSocket-Extensions: x-webkit-deflate-frame")
    }),
    ("a subprotocol that nobody offered", |lines| with(lines, "Sec-WebSocket-Protocol: admin")),
    ("HTTP/1.0", |lines| replace(&lines, "HTTP/1.1", "HTTP/1.0 101 Switching Protocols")),
    ("a folded line", |lines| with(lines, "X-A: b\r\n c")),
    ("a bare LF", |lines| with(lines, "X-A: b\nX-B: c")),
    ("a body", |lines| with(lines, "Content-Length: 5")),
    ("200 and frames behind it", |_| {
        vec!["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\u{1}\u{5}frame".to_owned()]
    }),
    ("no HTTP", |_| vec!["220 mail.example.com ESMTP".to_owned()]),
    ("an endless head", |lines| with(lines, &"X-A: b\r\n".repeat(20_000))),
];

fn with(mut lines: Vec<String>, line: &str) -> Vec<String> {
    lines.push(line.to_owned());
    lines
}

fn answers(offer: &Offer) -> Vec<Upgrade> {
    let answer = |(name, spoil): (&str, Spoil)| Upgrade {
        reaches_server: true,
        respond: Box::new(move |upstream| handshake::head(&spoil(handshake::answer_lines(upstream)))),
        ..request("answers", name, handshake::request(offer))
    };
    let mut attacks: Vec<_> = ANSWERS.into_iter().map(answer).collect();
    // The client's own key proves nothing: the server must have read the one that reached it.
    let replayed = tungstenite::handshake::derive_accept_key(KEY.as_bytes());
    attacks.push(Upgrade {
        reaches_server: true,
        respond: Box::new(move |upstream| {
            let line = format!("Sec-WebSocket-Accept: {replayed}");
            handshake::head(&replace(&handshake::answer_lines(upstream), "Sec-WebSocket-Accept", &line))
        }),
        ..request("answers", "an accept of the client's own key", handshake::request(offer))
    });
    attacks
}

/// What the policy, not the protocol, is there to refuse.
fn refused(policy: &Policy, offer: &Offer) -> Vec<Upgrade> {
    let rules = &policy.handshake;
    let mut attacks = Vec::new();
    if let Some(origin) = rules.origins.iter().flatten().next() {
        for (name, origins) in foreign_origins(origin) {
            if origins.len() == 1 && rules.origins.iter().flatten().any(|own| *own == origins[0]) {
                continue;
            }
            let mut lines = handshake::lines(&Offer { origin: None, ..offer.clone() });
            lines.extend(origins.iter().map(|origin| format!("Origin: {origin}")));
            attacks.push(request("origins", name, handshake::head(&lines)));
        }
    }
    if let Some(names) = &rules.subprotocols {
        let foreign = format!("{}-not", names.join("-"));
        let lines = with(handshake::lines(offer), &format!("Sec-WebSocket-Protocol: {foreign}"));
        attacks.push(request("subprotocols", "one that is not listed", handshake::head(&lines)));
    }
    if rules.compression == Compression::Refuse {
        let offer = Offer { compression: true, ..offer.clone() };
        attacks.push(request("compression", "an offer of it", handshake::request(&offer)));
    }
    attacks
}

fn foreign_origins(origin: &str) -> Vec<(&'static str, Vec<String>)> {
    let (scheme, host) = origin.split_once("://").unwrap_or(("https", origin));
    let evil = "https://evil.example";
    let other_scheme = if scheme == "https" { "http" } else { "https" };
    let one = |text: String| vec![text];
    vec![
        ("none", Vec::new()),
        ("a suffix", one(format!("{origin}.evil.example"))),
        ("a prefix", one(format!("{scheme}://evil-{host}"))),
        ("a subdomain", one(format!("{scheme}://x.{host}"))),
        ("userinfo", one(format!("{origin}@evil.example"))),
        ("null", one("null".into())),
        ("another scheme", one(format!("{other_scheme}://{host}"))),
        ("another port", one(format!("{origin}:8443"))),
        ("a path", one(format!("{origin}/"))),
        ("a dot behind it", one(format!("{origin}."))),
        ("an empty one", one(String::new())),
        ("a list", one(format!("{origin} {evil}"))),
    ]
}

/// Two Origin lines break the protocol, so they are refused in every mode.
pub(in crate::selftest) fn two_origins(policy: &Policy) -> Vec<Upgrade> {
    let offer = Offer::new(policy);
    let Some(origin) = &offer.origin else { return Vec::new() };
    let lines = handshake::lines(&Offer { origin: None, ..offer.clone() });
    let own = format!("Origin: {origin}");
    let evil = "Origin: https://evil.example".to_owned();
    let attack = |name, pair: [&String; 2]| {
        let lines: Vec<_> = lines.iter().chain(pair).cloned().collect();
        request("origins", name, handshake::head(&lines))
    };
    vec![attack("two, the right one first", [&own, &evil]), attack("two, the right one last", [&evil, &own])]
}

/// An offer of compression is not passed on under a policy that strips it, and a token in a query is not told to the audit.
pub(in crate::selftest) fn quiet(policy: &Policy, relay: &mut dyn Relay) -> Vec<(&'static str, Outcome)> {
    let offer =
        Offer { compression: policy.handshake.compression != Compression::Refuse, ..Offer::new(policy) };
    let lines = replace(&handshake::lines(&offer), "GET", "GET /selftest?token=secret HTTP/1.1");
    let answer = relay.upgrade(&[&handshake::head(&lines)], &handshake::answer);
    let upstream = answer.upstream.unwrap_or_default();
    let mut outcomes = Vec::new();
    if policy.handshake.compression == Compression::Strip {
        let is_stripped = answer.is_open && !handshake::mentions_compression(&upstream);
        outcomes.push(("an offer of compression, stripped", quietly(is_stripped, &upstream)));
    }
    let is_untold = answer.is_open && answer.paths.iter().all(|path| !path.contains("secret"));
    outcomes.push(("a token in the query, not told to the audit", quietly(is_untold, &upstream)));
    outcomes
}

fn quietly(is_right: bool, upstream: &[u8]) -> Outcome {
    if is_right {
        Outcome::Right("as it should be".into())
    } else {
        Outcome::Slipped { bytes: upstream.to_vec(), rule: "handshake".into() }
    }
}
