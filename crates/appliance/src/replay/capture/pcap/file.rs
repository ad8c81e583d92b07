//! The packets of a file, with their times.

use std::io::Read;

use pcap_parser::{
    Block, Linktype, PcapBlockOwned, PcapError, PcapHeader, create_reader,
    traits::{PcapNGPacketBlock, PcapReaderIterator},
};

use crate::replay::player::Fault;

/// What is read at once, and the largest packet, in bytes. The buffer grows for larger packets.
const BUFFER_SIZE: usize = 128 << 10;
const PACKET_SIZE_MAX: usize = 16 << 20;
const INTERFACES_MAX: usize = 65_536;
const SECOND_NS: u128 = 1_000_000_000;

pub(super) struct Packet<'a> {
    /// Nanoseconds since the Unix epoch.
    pub at_ns: u64,
    pub link_type: Linktype,
    pub bytes: &'a [u8],
}

/// Calls `each` with every packet. Whether the file ends within one.
///
/// # Errors
/// What is wrong with the file, and what to do; or the first of `each`.
pub(super) fn read(
    file: impl Read + Send,
    mut each: impl FnMut(Packet<'_>) -> Result<(), Fault>,
) -> Result<bool, Fault> {
    let mut reader =
        create_reader(BUFFER_SIZE, file).map_err(|_| "is no whole pcap or pcapng; capture again")?;
    let mut interfaces = Interfaces::default();
    let mut size = BUFFER_SIZE;
    loop {
        match reader.next() {
            Ok((taken, block)) => {
                if let Some(packet) = interfaces.packet(&block) {
                    each(packet)?;
                }
                drop(block);
                reader.consume(taken);
            }
            Err(PcapError::Eof) => return Ok(false),
            Err(PcapError::UnexpectedEof) => return Ok(true),
            Err(PcapError::Incomplete(_)) => fill(&mut *reader)?,
            Err(PcapError::BufferTooSmall) if size < PACKET_SIZE_MAX => {
                size *= 2;
                reader.grow(size);
                fill(&mut *reader)?;
            }
            Err(PcapError::BufferTooSmall) => {
                return Err(
                    format!("a packet has more than {} MiB; capture again", PACKET_SIZE_MAX >> 20).into()
                );
            }
            Err(_) => {
                let place = reader.consumed();
                return Err(
                    format!("is damaged at byte {place}; capture again, or mend it with pcapfix").into()
                );
            }
        }
    }
}

fn fill(reader: &mut dyn PcapReaderIterator) -> Result<(), Fault> {
    reader.refill().map_err(|_| "can't be read to its end; check the disk, or copy it again".into())
}

/// What packets refer to.
#[derive(Default)]
struct Interfaces {
    header: Option<PcapHeader>,
    /// Of the current section of a pcapng.
    interfaces: Vec<Interface>,
}

#[derive(Clone, Copy)]
struct Interface {
    link_type: Linktype,
    /// Units of time a second.
    resolution: u128,
    offset_s: i64,
}

impl Interfaces {
    fn packet<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Option<Packet<'a>> {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.header = Some(header.clone());
                None
            }
            PcapBlockOwned::Legacy(packet) => {
                let header = self.header.as_ref()?;
                let unit_ns = if header.is_nanosecond_precision() { 1 } else { 1000 };
                let at_ns = u128::from(packet.ts_sec) * SECOND_NS + u128::from(packet.ts_usec) * unit_ns;
                Some(Packet { at_ns: at_ns as u64, link_type: header.network, bytes: packet.data })
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.interfaces.clear();
                None
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(interface)) => {
                if self.interfaces.len() < INTERFACES_MAX {
                    self.interfaces.push(Interface {
                        link_type: interface.linktype,
                        resolution: resolution(interface.if_tsresol),
                        offset_s: interface.if_tsoffset,
                    });
                }
                None
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = self.interfaces.get(usize::try_from(packet.if_id).ok()?)?;
                let units = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                let at_ns = interface.time_ns(units);
                Some(Packet { at_ns, link_type: interface.link_type, bytes: packet.packet_data() })
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = self.interfaces.first()?;
                Some(Packet { at_ns: 0, link_type: interface.link_type, bytes: packet.packet_data() })
            }
            PcapBlockOwned::NG(_) => None,
        }
    }
}

impl Interface {
    fn time_ns(&self, units: u64) -> u64 {
        let since_offset_ns = u128::from(units) * SECOND_NS / self.resolution;
        let offset_ns = i128::from(self.offset_s) * SECOND_NS as i128;
        let at_ns = i128::try_from(since_offset_ns).unwrap_or(i128::MAX).saturating_add(offset_ns);
        u64::try_from(at_ns.max(0)).unwrap_or(u64::MAX)
    }
}

/// Units a second: a power of ten, or of two where the highest bit is set (pcapng's `if_tsresol`). Absurd ones are as good as the
/// finest sensible.
fn resolution(code: u8) -> u128 {
    let exponent = u32::from(code & 0x7f);
    if code & 0x80 == 0 { 10_u128.pow(exponent.min(19)) } else { 1 << exponent.min(63) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_interfaces() {
        let of =
            |code, offset_s| Interface { link_type: Linktype(1), resolution: resolution(code), offset_s };
        assert_eq!(of(6, 0).time_ns(1_500_000), 1_500_000_000);
        assert_eq!(of(9, 2).time_ns(5), 2_000_000_005);
        assert_eq!(of(0x80 | 10, 0).time_ns(512), 500_000_000);
        assert_eq!(of(0, i64::MIN).time_ns(7), 0);
        assert_eq!(of(0, i64::MAX).time_ns(u64::MAX), u64::MAX);
        assert_eq!(of(255, 0).time_ns(1 << 63), 1_000_000_000);
    }
}
