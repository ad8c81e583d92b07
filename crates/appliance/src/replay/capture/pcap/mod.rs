//! pcap and pcapng: packets ([`segment`]) of TCP connections ([`flow`]), put in order ([`stream`]) and read as HTTP ([`http`]) until
//! one becomes a WebSocket. What it sends from there on is played as it was on the wire.

mod file;
mod flow;
mod flows;
mod http;
mod segment;
mod stream;
#[cfg(test)]
mod tests;

use std::io::Read;

use self::flows::Flows;
use crate::replay::player::{Fault, Player};

/// # Errors
/// What is wrong with the file, and what to do; or the output's.
pub(in crate::replay) fn play(
    player: &mut Player<'_>,
    file: impl Read + Send,
    name: &str,
) -> Result<(), Fault> {
    let mut flows = Flows::default();
    let is_cut = file::read(file, |packet| {
        let segment = segment::read(packet.link_type, packet.bytes)?;
        if let Some(segment) = segment {
            flows.take(player, &segment, packet.at_ns)?;
        }
        Ok(())
    })
    .map_err(|fault| format!("{name}: {fault}"))?;
    flows.finish(player).map_err(|fault| format!("{name}: {fault}"))?;
    let mut notes = flows.notes();
    if is_cut {
        notes.push(
            "the file ends within a packet: the capture was not ended in order, or the copy is not complete"
                .to_owned(),
        );
    }
    if flows.found_none() {
        let notes: Vec<_> =
            std::iter::once("no WebSocket was opened in it".to_owned()).chain(notes).collect();
        return Err(format!("{name}: {}", notes.join("; ")).into());
    }
    notes.iter().try_for_each(|note| player.note(note))
}
