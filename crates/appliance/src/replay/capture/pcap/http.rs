//! The HTTP/1.1 that a WebSocket begins with (RFC 6455 section 4), also where other requests came before it.

use crate::replay::opening::field;

/// More than a head may have, in bytes: what is longer is refused by the policy, or is none.
const HEAD_SIZE_MAX: usize = 32 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// Requests and answers until one of them is an upgrade.
#[derive(Debug, Default)]
pub(super) struct Http {
    /// The head of a request and what came after it.
    request: Vec<u8>,
    /// The request is an upgrade, whose head ends here.
    asked: Option<usize>,
    answer: Vec<u8>,
    /// Bytes of a request's body that are to come.
    body_left: u64,
}

/// What bytes led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    More,
    /// There is no WebSocket in this connection, or it can't be found.
    Other(Kind),
    Answered(Upgrade),
}

/// An upgrade and its answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// The client's head, and what it sent before the answer came.
    pub request: Vec<u8>,
    pub request_end: usize,
    /// The server's head. `None`: it did not come.
    pub answer: Option<Vec<u8>>,
    /// What the server sent after it.
    pub rest: Vec<u8>,
}

/// What a connection is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tls,
    Http2,
    /// Another protocol, or HTTP without an upgrade.
    Unknown,
}

impl Http {
    /// Takes what the client sent.
    pub fn take_request(&mut self, mut bytes: &[u8]) -> Step {
        let skipped = usize::try_from(self.body_left).map_or(bytes.len(), |left| left.min(bytes.len()));
        self.body_left -= skipped as u64;
        bytes = &bytes[skipped..];
        self.request.extend(bytes);
        while self.asked.is_none() && !self.request.is_empty() {
            if let Some(kind) = other(&self.request) {
                return Step::Other(kind);
            }
            let Some(end) = head_end(&self.request) else { break };
            let head = &self.request[..end];
            if field(head, "upgrade").is_some_and(|value| value.to_ascii_lowercase().contains("websocket")) {
                self.asked = Some(end);
                self.answer.clear();
                break;
            }
            let Some(body_size) = body_size(head) else { return Step::Other(Kind::Unknown) };
            self.request.drain(..end);
            let own =
                usize::try_from(body_size).map_or(self.request.len(), |size| size.min(self.request.len()));
            self.request.drain(..own);
            self.body_left = body_size - own as u64;
        }
        if self.request.len() > 2 * HEAD_SIZE_MAX { Step::Other(Kind::Unknown) } else { Step::More }
    }

    /// Takes what the server sent. Answers to other requests are passed over: nobody asks for an upgrade before they are there.
    pub fn take_answer(&mut self, bytes: &[u8]) -> Step {
        if self.asked.is_none() {
            return Step::More;
        }
        self.answer.extend(bytes);
        let Some(end) = head_end(&self.answer) else {
            let is_too_long = self.answer.len() > HEAD_SIZE_MAX;
            return if is_too_long { Step::Other(Kind::Unknown) } else { Step::More };
        };
        let rest = self.answer.split_off(end);
        let answer = Some(std::mem::take(&mut self.answer));
        self.unanswered().map_or(Step::More, |upgrade| Step::Answered(Upgrade { answer, rest, ..upgrade }))
    }

    /// The upgrade that was asked for, without an answer; it is forgotten with that.
    pub fn unanswered(&mut self) -> Option<Upgrade> {
        let request_end = self.asked.take()?;
        let request = std::mem::take(&mut self.request);
        Some(Upgrade { request, request_end, answer: None, rest: Vec::new() })
    }
}

/// What a connection is whose client begins like this; `None`: HTTP/1, or too little to say.
fn other(start: &[u8]) -> Option<Kind> {
    const METHOD_SIZE_MAX: usize = 20;
    // Any record of TLS (RFC 8446 section 5.1): where the capture began late, the first is no handshake.
    if matches!(start, [0x14..=0x17] | [0x14..=0x17, 3, ..]) {
        return (start.len() > 1).then_some(Kind::Tls);
    }
    if start.starts_with(b"PRI * HTTP/2") {
        return Some(Kind::Http2);
    }
    let method = start.iter().take(METHOD_SIZE_MAX).take_while(|byte| byte.is_ascii_uppercase()).count();
    match start.get(method) {
        None => None,
        Some(b' ') if method > 0 => None,
        Some(_) => Some(Kind::Unknown),
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END).map(|at| at + HEAD_END.len())
}

/// `None`: it is in chunks, or of no size that can be read.
fn body_size(head: &[u8]) -> Option<u64> {
    if field(head, "transfer-encoding").is_some() || head.starts_with(b"CONNECT ") {
        return None;
    }
    field(head, "content-length").map_or(Some(0), |size| size.parse().ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UPGRADE: &str = "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\n\r\n";

    #[test]
    fn an_upgrade_is_found_behind_other_requests_however_they_are_cut() {
        let before = "POST /x HTTP/1.1\r\nContent-Length: 31\r\n\r\nGET / HTTP/1.1\r\nUpgrade: no\r\n\r\n";
        let before = format!("{before}GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
        let asked = format!("{before}{UPGRADE}early");
        for size in 1..asked.len() {
            let mut http = Http::default();
            assert_eq!(http.take_answer(b"HTTP/1.1 200 OK\r\n\r\n"), Step::More);
            for piece in asked.as_bytes().chunks(size) {
                assert_eq!(http.take_request(piece), Step::More);
            }
            assert_eq!(http.take_answer(b"HTTP/1.1 101 x\r\n"), Step::More);
            let Step::Answered(upgrade) = http.take_answer(b"\r\nframes") else { panic!("{size}") };
            assert_eq!(upgrade.request, format!("{UPGRADE}early").as_bytes());
            assert_eq!(upgrade.request_end, UPGRADE.len());
            assert_eq!(upgrade.answer.unwrap(), b"HTTP/1.1 101 x\r\n\r\n");
            assert_eq!(upgrade.rest, b"frames");
            assert_eq!(http.unanswered(), None);
        }
    }

    #[test]
    fn what_is_no_http_is_known_by_its_first_bytes() {
        for (start, kind) in [
            (&b"\x16\x03\x01\x02\x00"[..], Kind::Tls),
            (b"\x17\x03\x03\x00\x10", Kind::Tls),
            (b"PRI * HTTP/2.0\r\n\r\n", Kind::Http2),
            (b"SSH-2.0", Kind::Unknown),
            (b"\x81\x85mask", Kind::Unknown),
            (b"CONNECT a:443 HTTP/1.1\r\n\r\n", Kind::Unknown),
            (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", Kind::Unknown),
            (b"PUT / HTTP/1.1\r\nContent-Length: some\r\n\r\n", Kind::Unknown),
        ] {
            assert_eq!(Http::default().take_request(start), Step::Other(kind), "{start:?}");
        }
        let endless = [b"GET /".to_vec(), vec![b'x'; 3 * HEAD_SIZE_MAX]].concat();
        assert_eq!(Http::default().take_request(&endless), Step::Other(Kind::Unknown));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(pieces: Vec<(bool, Vec<u8>)>) {
            let mut http = Http::default();
            http.take_request(UPGRADE.as_bytes());
            for (is_request, bytes) in pieces {
                if is_request { http.take_request(&bytes) } else { http.take_answer(&bytes) };
            }
        }
    }
}
