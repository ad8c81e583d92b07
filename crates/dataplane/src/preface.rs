//! The PROXY header (versions 1 and 2 of the PROXY protocol) that a connection begins with where its listener wants one.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use ppp::{HeaderResult, v1, v2};

/// What version 1 begins with, and the most that it has with its end of line.
const VERSION_1: &[u8] = b"PROXY ";
const VERSION_1_SIZE_MAX: usize = 107;
/// What version 2 begins with; then come command, family and the size of the rest.
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2_SIZE_MIN: usize = 16;
/// Addresses and extensions.
const SIZE_MAX: usize = 2 << 10;

/// The beginning of a connection's first bytes.
#[derive(Debug, Default)]
pub(crate) struct Preface {
    bytes: Vec<u8>,
}

/// What the bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefaceStep {
    More,
    /// The header is complete with the first `consumed` bytes of this input. `client`: who is behind the hop, unless it speaks for
    /// itself.
    Done {
        consumed: usize,
        client: Option<SocketAddr>,
    },
    /// It is no PROXY header.
    Refused,
}

/// Whether the word of `peer` counts on a listener that trusts these; one that trusts nobody in particular takes it from anybody.
pub(crate) fn may_speak(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.is_empty() || trusted.iter().any(|network| network.contains(&peer.to_canonical()))
}

impl Preface {
    pub fn read(&mut self, input: &[u8]) -> PrefaceStep {
        let before = self.bytes.len();
        let taken = input.len().min(SIZE_MAX - before);
        self.bytes.extend_from_slice(&input[..taken]);
        let size = match size(&self.bytes) {
            Some(size) if size <= self.bytes.len() => size,
            Some(size) if size <= SIZE_MAX => return PrefaceStep::More,
            _ => return PrefaceStep::Refused,
        };
        let client = match HeaderResult::parse(&self.bytes[..size]) {
            HeaderResult::V1(Ok(header)) => of_version_1(&header.addresses),
            HeaderResult::V2(Ok(header)) => of_version_2(&header),
            HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => return PrefaceStep::Refused,
        };
        match size.checked_sub(before) {
            Some(consumed) if consumed <= taken => PrefaceStep::Done { consumed, client },
            _ => PrefaceStep::Refused,
        }
    }

    /// In bytes.
    pub fn memory_size(&self) -> u64 {
        self.bytes.capacity() as u64
    }
}

/// The size of the header that `bytes` begin with, or one more than they have while that is not known. `None`: they begin with none.
fn size(bytes: &[u8]) -> Option<usize> {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(left, right)| left == right);
    if begins(VERSION_2) {
        let rest = bytes.get(14..VERSION_2_SIZE_MIN).and_then(|rest| rest.try_into().ok());
        return Some(match rest.map(u16::from_be_bytes) {
            Some(rest) => VERSION_2_SIZE_MIN + usize::from(rest),
            None => bytes.len() + 1,
        });
    }
    let line = bytes.get(..VERSION_1_SIZE_MAX).unwrap_or(bytes);
    let end = line.windows(2).position(|pair| pair == b"\r\n");
    match end {
        _ if !begins(VERSION_1) => None,
        Some(end) => Some(end + 2),
        None => (bytes.len() < VERSION_1_SIZE_MAX).then_some(bytes.len() + 1),
    }
}

fn of_version_1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(each) => Some((each.source_address, each.source_port).into()),
        v1::Addresses::Tcp6(each) => Some((each.source_address, each.source_port).into()),
        v1::Addresses::Unknown => None,
    }
}

/// LOCAL is the hop's own connection, such as a health check.
fn of_version_2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match (header.command, &header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(each)) => {
            Some((each.source_address, each.source_port).into())
        }
        (v2::Command::Proxy, v2::Addresses::IPv6(each)) => {
            Some((each.source_address, each.source_port).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        bytes.extend([0x20 | command, family, (body.len() >> 8) as u8, body.len() as u8]);
        bytes.extend_from_slice(body);
        bytes
    }

    fn headers() -> Vec<(Vec<u8>, Option<&'static str>)> {
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[15] = 7;
        v6[32..34].copy_from_slice(&4711u16.to_be_bytes());
        let v4 = [203, 0, 113, 9, 10, 0, 0, 1, 0x12, 0x67, 0, 80];
        // An extension of three bytes.
        let extended = [&v4[..], &[4, 0, 0]].concat();
        vec![
            (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n".to_vec(), Some("203.0.113.9:4711")),
            (b"PROXY TCP6 2001::7 ::1 4711 80\r\n".to_vec(), Some("[2001::7]:4711")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (version_2(1, 0x11, &v4), Some("203.0.113.9:4711")),
            (version_2(1, 0x11, &extended), Some("203.0.113.9:4711")),
            (version_2(1, 0x21, &v6), Some("[2001::7]:4711")),
            (version_2(0, 0, &[]), None),
        ]
    }

    #[test]
    fn headers_are_read_however_they_come() {
        for (header, client) in headers() {
            let client = client.map(|text| text.parse().unwrap());
            let rest = b"GET / HTTP/1.1\r\n";
            let bytes = [&header[..], rest].concat();
            for cut in 1..=header.len() {
                let mut preface = Preface::default();
                let mut at = 0;
                let mut step = PrefaceStep::More;
                for piece in bytes.chunks(cut) {
                    step = preface.read(piece);
                    if let PrefaceStep::Done { consumed, .. } = &step {
                        at += consumed;
                        break;
                    }
                    assert_eq!(step, PrefaceStep::More);
                    at += piece.len();
                }
                assert_eq!(at, header.len(), "cut every {cut}");
                assert!(matches!(step, PrefaceStep::Done { client: found, .. } if found == client));
            }
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bytes in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n",
            b"PROXY TCP4 1 2 3 4\r\n",
            &[b'P'; 3000],
            &version_2(1, 0x11, &[1, 2]),
            &version_2(9, 0x11, &[0; 12]),
        ] {
            assert_eq!(Preface::default().read(bytes), PrefaceStep::Refused, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(start in 0..7usize, cut in 0..60usize, bytes: Vec<u8>, size in 1..50usize) {
            let mut header = headers().swap_remove(start).0;
            header.truncate(cut);
            header.extend_from_slice(&bytes);
            let mut preface = Preface::default();
            for piece in header.chunks(size) {
                if preface.read(piece) != PrefaceStep::More {
                    break;
                }
            }
        }
    }
}
