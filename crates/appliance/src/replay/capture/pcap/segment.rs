//! TCP segments out of packets, whatever link they came over.

use std::net::{IpAddr, SocketAddr};

use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use pcap_parser::Linktype;

/// A TCP segment (RFC 9293 section 3.1), borrowed from its packet.
#[derive(Debug)]
pub(super) struct Segment<'a> {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub sequence: u32,
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
    pub payload: &'a [u8],
    /// The packet had more than was recorded of it.
    pub is_cut: bool,
}

/// Sizes of headers, in bytes.
const NULL_SIZE: usize = 4;
const SLL_SIZE: usize = 16;
const SLL2_SIZE: usize = 20;

/// `None`: it is something else, or a fragment of a packet.
///
/// # Errors
/// The link is of a kind that is not known.
pub(super) fn read(link_type: Linktype, bytes: &[u8]) -> Result<Option<Segment<'_>>, String> {
    let ether_type = |at: usize| Some(EtherType(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?])));
    let packet = match link_type.0 {
        // Ethernet.
        1 => LaxSlicedPacket::from_ethernet(bytes).ok(),
        // BSD loopback, in either byte order.
        0 | 108 => bytes.get(NULL_SIZE..).and_then(|ip| LaxSlicedPacket::from_ip(ip).ok()),
        // IP without anything before it.
        12 | 14 | 101 | 228 | 229 => LaxSlicedPacket::from_ip(bytes).ok(),
        // "Linux cooked", as of the interface "any".
        113 => ether_type(14).and_then(|kind| under(kind, bytes.get(SLL_SIZE..)?)),
        276 => ether_type(0).and_then(|kind| under(kind, bytes.get(SLL2_SIZE..)?)),
        other => {
            return Err(format!(
                "has packets of link type {other}, which can't be read; capture Ethernet, loopback, \"any\" or raw IP"
            ));
        }
    };
    Ok(packet.as_ref().and_then(segment))
}

fn under(kind: EtherType, bytes: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    Some(LaxSlicedPacket::from_ether_type(kind, bytes))
}

fn segment<'a>(packet: &LaxSlicedPacket<'a>) -> Option<Segment<'a>> {
    let (from, to): (IpAddr, IpAddr) = match packet.net.as_ref()? {
        LaxNetSlice::Ipv4(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Ipv6(ip) => (ip.header().source_addr().into(), ip.header().destination_addr().into()),
        LaxNetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Tcp(tcp)) = &packet.transport else { return None };
    Some(Segment {
        from: SocketAddr::new(from, tcp.source_port()),
        to: SocketAddr::new(to, tcp.destination_port()),
        sequence: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
        payload: tcp.payload(),
        is_cut: packet.ip_payload().is_some_and(|payload| payload.incomplete),
    })
}
