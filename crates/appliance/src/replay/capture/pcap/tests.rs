//! Conversations as packets, over every kind of link, in any order and with any damage.

use std::{cell::RefCell, net::Ipv4Addr};

use etherparse::PacketBuilder;
use proptest::{prelude::*, sample::Index};
use serde_json::Value;
use tungstenite::handshake::derive_accept_key;
use wsi_config::policy::Direction;

use super::play;
use crate::{
    replay::{
        Options,
        tally::{Tally, Traffic},
        tests::{BAD, FILTER, runner, told},
    },
    selftest::frames::{Framer, TEXT},
};

const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Packets of one TCP connection, as IP.
struct Talk {
    is_v6: bool,
    client_port: u16,
    sequences: [u32; 2],
    packets: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    None,
    Syn,
    Fin,
    Rst,
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

impl Talk {
    fn new(is_v6: bool, client_port: u16) -> Self {
        // Both wrap soon.
        let mut talk =
            Self { is_v6, client_port, sequences: [u32::MAX - 9, u32::MAX - 300], packets: Vec::new() };
        talk.packet(CLIENT, Flag::Syn, b"");
        talk.packet(SERVER, Flag::Syn, b"");
        talk
    }

    /// With an upgrade, accepted.
    fn opened(is_v6: bool, client_port: u16) -> Self {
        let mut talk = Self::new(is_v6, client_port);
        talk.say(CLIENT, request("").as_bytes());
        talk.say(SERVER, answer("").as_bytes());
        talk
    }

    fn say(&mut self, side: usize, bytes: &[u8]) {
        self.packet(side, Flag::None, bytes);
    }

    /// In segments of `size` bytes.
    fn say_cut(&mut self, side: usize, bytes: &[u8], size: usize) {
        bytes.chunks(size).for_each(|piece| self.say(side, piece));
    }

    fn end(&mut self) {
        self.packet(CLIENT, Flag::Fin, b"");
        self.packet(SERVER, Flag::Fin, b"");
    }

    fn packet(&mut self, side: usize, flag: Flag, payload: &[u8]) {
        let ports = if side == CLIENT { (self.client_port, 80) } else { (80, self.client_port) };
        let (own, other) = ([10, 0, 0, 1 + side as u8], [10, 0, 0, 2 - side as u8]);
        let step = if self.is_v6 {
            let long = |short| Ipv4Addr::from(short).to_ipv6_mapped().octets();
            PacketBuilder::ipv6(long(own), long(other), 64)
        } else {
            PacketBuilder::ipv4(own, other, 64)
        };
        let step = step.tcp(ports.0, ports.1, self.sequences[side], 1000);
        let step = match flag {
            Flag::None => step,
            Flag::Syn => step.syn(),
            Flag::Fin => step.fin(),
            Flag::Rst => step.rst(),
        };
        let is_first = flag == Flag::Syn && side == CLIENT;
        let step = if is_first { step } else { step.ack(self.sequences[1 - side]) };
        let mut packet = Vec::new();
        step.write(&mut packet, payload).unwrap();
        self.packets.push(packet);
        let own_size = payload.len() as u32 + u32::from(matches!(flag, Flag::Syn | Flag::Fin));
        self.sequences[side] = self.sequences[side].wrapping_add(own_size);
    }
}

fn request(fields: &str) -> String {
    format!(
        "GET /chat?token=1 HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: {KEY}\r\n{fields}\r\n"
    )
}

fn answer(fields: &str) -> String {
    let accept = derive_accept_key(KEY.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
    )
}

fn text(side: usize, text: &str) -> Vec<u8> {
    Framer::new(Direction::BOTH[side]).text(text.as_bytes())
}

/// A pcap of the packets, a millisecond apart, of which at most `snap_size` bytes were recorded.
fn pcap(link_type: u32, packets: &[Vec<u8>], snap_size: usize) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, link_type] {
        file.extend(u32::to_le_bytes(word));
    }
    for (at_ms, packet) in packets.iter().enumerate() {
        let taken = &packet[..packet.len().min(snap_size)];
        for word in [0, at_ms * 1000, taken.len(), packet.len()] {
            file.extend((word as u32).to_le_bytes());
        }
        file.extend(taken);
    }
    file
}

/// A pcapng of two interfaces, with all packets on the second one, at five milliseconds.
fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padding = vec![0; body.len().wrapping_neg() % 4];
        let size = (12 + body.len() + padding.len()) as u32;
        [&kind.to_le_bytes()[..], &size.to_le_bytes(), body, &padding, &size.to_le_bytes()].concat()
    };
    let section = [&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut file = block(0x0a0d_0d0a, &section);
    // Ethernet in microseconds; raw IP in nanoseconds (if_tsresol is 9).
    file.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0]));
    file.extend(block(1, &[101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
    for packet in packets {
        let size = packet.len() as u32;
        let head = [1, 0, 5_000_000, size, size].map(u32::to_le_bytes).concat();
        file.extend(block(6, &[&head[..], packet].concat()));
    }
    file.extend(block(5, &[0; 12]));
    file
}

fn after(prefix: &[u8], packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    packets.iter().map(|packet| [prefix, packet].concat()).collect()
}

fn played(file: &[u8]) -> (Vec<Value>, Traffic) {
    let options = Options { all: true, ..Options::default() };
    let (lines, traffic, _) = told(&[FILTER], &options, |player| play(player, file, "file"));
    (lines, traffic)
}

fn refused(file: &[u8]) -> String {
    let mut why = String::new();
    told(&[FILTER], &Options::default(), |player| {
        why = play(player, file, "file").unwrap_err().to_string();
        Ok(())
    });
    why
}

/// Opcode, verdict and rule of each line that is about something that was sent.
fn verdicts(lines: &[Value]) -> Vec<String> {
    let sent = lines.iter().filter(|line| line["verdict"].is_string());
    sent.map(|line| ["opcode", "verdict", "rule"].map(|name| line[name].as_str().unwrap_or("-")).join(" "))
        .collect()
}

fn notes(lines: &[Value]) -> String {
    lines.iter().filter_map(|line| line["text"].as_str()).collect()
}

#[test]
fn every_link_is_read() {
    for is_v6 in [false, true] {
        let mut talk = Talk::opened(is_v6, 5000);
        talk.say(CLIENT, &text(CLIENT, "good"));
        talk.say(SERVER, &text(SERVER, "bad"));
        talk.end();
        let kind = if is_v6 { [0x86, 0xdd] } else { [8, 0] };
        let sll = [&[0; 14][..], &kind].concat();
        let sll2 = [&kind[..], &[0; 18]].concat();
        let ethernet = [&[2; 12][..], &kind].concat();
        let vlan = [&[2; 12][..], &[0x81, 0, 0, 7], &kind].concat();
        let links = [
            (0, &[2, 0, 0, 0][..]),
            (108, &[0, 0, 0, 2]),
            (1, &ethernet),
            (1, &vlan),
            (113, &sll),
            (276, &sll2),
            (101, &[]),
        ];
        for (link, prefix) in links {
            let (lines, traffic) = played(&pcap(link, &after(prefix, &talk.packets), usize::MAX));
            let expected = ["- pass -", "text pass -", &format!("text close {BAD}")];
            assert_eq!(verdicts(&lines), expected, "link type {link}");
            assert_eq!((traffic.connections, traffic.not_followed), (1, 0));
            let host = if is_v6 { "[::ffff:10.0.0" } else { "10.0.0" };
            let close = if is_v6 { "]" } else { "" };
            let name = format!("{host}.1{close}:5000->{host}.2{close}:80/chat");
            assert_eq!(lines[1]["connection"], name);
            assert_eq!(lines[1]["time_ms"], 4.0);
        }
    }
    assert!(refused(&pcap(147, &[vec![0; 60]], usize::MAX)).contains("link type 147"));
}

#[test]
fn pcapng_has_interfaces_of_its_own() {
    let mut talk = Talk::opened(false, 5000);
    talk.say(CLIENT, &text(CLIENT, "bad"));
    let (lines, _) = played(&pcapng(&talk.packets));
    assert_eq!(verdicts(&lines), ["- pass -", &format!("text close {BAD}")]);
    assert_eq!(lines[1]["time_ms"], 5.0);
}

#[test]
fn segments_come_in_any_order_and_more_than_once() {
    let frames = [text(CLIENT, "good"), text(CLIENT, &"long ".repeat(40)), text(CLIENT, "bad")].concat();
    let strategy = (1..50_usize, proptest::collection::vec((any::<Index>(), any::<Index>()), 0..30));
    told(&[FILTER], &Options::default(), |player| {
        let player = RefCell::new(player);
        let tried = runner().run(&strategy, |(size, copies)| {
            let mut talk = Talk::opened(false, 5000);
            let begun = talk.packets.len();
            talk.say_cut(CLIENT, &frames, size);
            for (from, to) in copies {
                let count = talk.packets.len() - begun;
                // Before the original it is out of order, and after it a retransmission.
                let copy = talk.packets[begun + from.index(count)].clone();
                talk.packets.insert(begun + to.index(count), copy);
            }
            talk.end();
            let mut player = player.borrow_mut();
            player.traffic = Traffic::default();
            player.trials[0].tally = Tally::default();
            play(*player, pcap(RAW, &talk.packets, usize::MAX).as_slice(), "file").unwrap();
            prop_assert_eq!((player.traffic.messages, player.traffic.not_followed), ([3, 0], 0));
            let tally = &player.trials[0].tally;
            prop_assert_eq!((tally.closes, tally.inspected, tally.verdicts.len()), (1, 3, 1));
            Ok(())
        });
        Ok(tried.map_err(|error| error.to_string())?)
    });
}

#[test]
fn what_is_missing_is_said() {
    let mut talk = Talk::opened(false, 5000);
    talk.say(CLIENT, &text(CLIENT, "good"));
    talk.say(CLIENT, &text(CLIENT, "lost"));
    talk.say(CLIENT, &text(CLIENT, "bad"));
    talk.say(SERVER, &text(SERVER, "bad"));
    talk.packets.remove(5);
    let (lines, traffic) = played(&pcap(RAW, &talk.packets, usize::MAX));
    assert_eq!(verdicts(&lines), ["- pass -", "text pass -", &format!("text close {BAD}")]);
    let connection = lines.iter().find(|line| line["type"] == "connection").unwrap();
    assert!(
        connection["not_followed_to_server"]
            .as_str()
            .unwrap()
            .starts_with("10 bytes are missing; packets were not")
    );
    assert_eq!((connection["not_followed_to_client"].as_str(), traffic.not_followed), (None, 1));

    let mut talk = Talk::opened(false, 5000);
    talk.say(SERVER, &text(SERVER, &"x".repeat(500)));
    talk.say(SERVER, &text(SERVER, "bad"));
    let (lines, traffic) = played(&pcap(RAW, &talk.packets, 300));
    assert_eq!(
        (verdicts(&lines), traffic.not_followed),
        (vec!["- pass -".to_owned(), "text unfinished -".to_owned()], 1)
    );
    let connection = lines.iter().find(|line| line["type"] == "connection").unwrap();
    assert!(connection["not_followed_to_client"].as_str().unwrap().contains("snapshot length"));

    // The answer to an upgrade.
    let mut talk = Talk::new(false, 5000);
    talk.say(CLIENT, request("").as_bytes());
    talk.say_cut(SERVER, answer("").as_bytes(), 50);
    talk.packets.remove(4);
    let (lines, traffic) = played(&pcap(RAW, &talk.packets, usize::MAX));
    assert_eq!((verdicts(&lines), traffic.not_followed), (vec!["- pass -".to_owned()], 1));
}

#[test]
fn what_can_not_be_read_is_said() {
    let mut tls = Talk::new(false, 6000);
    tls.say(CLIENT, b"\x16\x03\x01\x02\x00\x01\x00");
    let mut http2 = Talk::new(false, 6001);
    http2.say(CLIENT, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let mut late = Talk::opened(false, 6002);
    late.say(CLIENT, &text(CLIENT, "bad"));
    late.packets.drain(..4);
    let others = [tls.packets, http2.packets, late.packets].concat();
    let why = refused(&pcap(RAW, &others, usize::MAX));
    for words in [
        "no WebSocket was opened",
        "1 TLS connections",
        "export a HAR",
        "1 HTTP/2",
        "1 connections that had begun",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let mut talk = Talk::opened(false, 5000);
    talk.say(CLIENT, &text(CLIENT, "good"));
    let mut file = pcap(RAW, &[others, talk.packets].concat(), usize::MAX);
    file.truncate(file.len() - 3);
    let (lines, traffic) = played(&file);
    assert_eq!(verdicts(&lines), ["- pass -"]);
    assert!(notes(&lines).contains("1 TLS") && notes(&lines).contains("ends within a packet"));
    assert_eq!(traffic.not_followed, 0);
}

#[test]
fn an_address_is_used_again() {
    let mut first = Talk::opened(false, 5000);
    first.say(CLIENT, &text(CLIENT, "bad"));
    // Nobody saw its end.
    let mut second = Talk { sequences: [77, 88], ..Talk::new(false, 5000) };
    second.packets.clear();
    second.packet(CLIENT, Flag::Syn, b"");
    second.packet(SERVER, Flag::Syn, b"");
    // A copy of the first segment opens nothing.
    second.packets.push(second.packets[0].clone());
    second.say(CLIENT, request("").as_bytes());
    second.say(SERVER, answer("").as_bytes());
    second.say(CLIENT, &text(CLIENT, "good"));
    second.packet(SERVER, Flag::Rst, b"");
    let (lines, traffic) = played(&pcap(RAW, &[first.packets, second.packets].concat(), usize::MAX));
    let expected = ["- pass -", &format!("text close {BAD}"), "- pass -", "text pass -"];
    assert_eq!((verdicts(&lines), traffic.connections), (expected.map(str::to_owned).to_vec(), 2));
}

#[test]
fn upgrades_are_judged() {
    // Refused by the server, and then accepted on the same connection.
    let mut talk = Talk::new(false, 5000);
    talk.say(CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    talk.say(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 ");
    talk.say(CLIENT, request("").as_bytes());
    talk.say(SERVER, b"HTTP/1.1 401 Who\r\nContent-Length: 2\r\n\r\nno");
    talk.say(CLIENT, request("Authorization: me\r\n").as_bytes());
    talk.say(SERVER, &[answer("").as_bytes(), &text(SERVER, "at once")].concat());
    let (lines, traffic) = played(&pcap(RAW, &talk.packets, usize::MAX));
    assert_eq!(
        (verdicts(&lines), traffic.connections),
        (vec!["- pass -".into(), "- pass -".into(), "text pass -".into()], 2)
    );

    // By the policy: what came before the answer is not relayed either.
    let mut talk = Talk::new(false, 5000);
    talk.say(CLIENT, &[request("").as_bytes(), &text(CLIENT, "early")].concat());
    talk.say(SERVER, answer("").as_bytes());
    talk.say(SERVER, &text(SERVER, "late"));
    let (lines, _) = played(&pcap(RAW, &talk.packets, usize::MAX));
    assert_eq!(
        verdicts(&lines),
        ["- refuse handshake/early-data", "text not-relayed -", "text not-relayed -"]
    );

    // A proof that is none.
    let mut talk = Talk::new(false, 5000);
    talk.say(CLIENT, request("").as_bytes());
    talk.say(SERVER, answer("").replace("Accept: ", "Accept: x").as_bytes());
    let (lines, _) = played(&pcap(
        ETHERNET,
        &after(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], &talk.packets),
        usize::MAX,
    ));
    assert!(verdicts(&lines)[0].starts_with("- refuse handshake/"), "{lines:?}");
}

#[test]
fn compression_is_read_as_it_was_agreed_on() {
    // "bad" in a stored block; the policy itself would have stripped the offer.
    let message = [&[0, 3, 0, 0xfc, 0xff][..], b"bad"].concat();
    let compressed = Framer::new(Direction::ToServer).frame(0xc0 | TEXT, &message);
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
    for (agreed, expected) in [
        (
            "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n",
            format!("text close {BAD}"),
        ),
        ("", "text close protocol/reserved-bits".into()),
    ] {
        let mut talk = Talk::new(false, 5000);
        talk.say(CLIENT, request(offer).as_bytes());
        talk.say(SERVER, answer(agreed).as_bytes());
        talk.say(CLIENT, &compressed);
        let (lines, _) = played(&pcap(RAW, &talk.packets, usize::MAX));
        assert_eq!(verdicts(&lines), ["- pass -".to_owned(), expected]);
        assert_eq!(lines[1]["size"], if agreed.is_empty() { 8 } else { 3 });
    }
}

#[test]
fn any_damage_is_survived() {
    let mut talk = Talk::opened(false, 5000);
    talk.say_cut(CLIENT, &text(CLIENT, "good"), 4);
    talk.say(SERVER, &text(SERVER, &"x".repeat(300)));
    talk.end();
    let files = [pcap(RAW, &talk.packets, usize::MAX), pcapng(&talk.packets)];
    let damage = (
        0..2_usize,
        proptest::collection::vec((any::<Index>(), any::<u8>()), 0..8),
        any::<Index>(),
        proptest::option::of(any::<Vec<u8>>()),
    );
    let options = Options { all: true, go_on: true, ..Options::default() };
    told(&[FILTER], &options, |player| {
        let player = RefCell::new(player);
        let tried = runner().run(&damage, |(which, changes, end, tail)| {
            let mut file = files[which].clone();
            // Most of the changes are behind the header, or nothing would be read.
            for (at, byte) in changes {
                let at = 16 + at.index(file.len() - 16);
                file[at] = byte;
            }
            if let Some(tail) = tail {
                file.truncate(end.index(file.len()));
                file.extend(tail);
            }
            if let Err(fault) = play(*player.borrow_mut(), file.as_slice(), "file") {
                prop_assert!(fault.to_string().starts_with("file: "), "{}", fault);
            }
            Ok(())
        });
        Ok(tried.map_err(|error| error.to_string())?)
    });
}
