//! `runtime`: how the process uses the machine.

use std::num::NonZeroUsize;

use crate::diagnostics::Findings;
use crate::document::{Block, Value};
use crate::settings::{Runtime, Shards};

/// Shards of one process, and one more than the highest CPU number.
const SHARDS_MAX: usize = 1024;
const CONNECTIONS_MAX: u64 = 100_000_000;
/// From a few messages to more than any machine has, in bytes.
const MEMORY_MIN: u64 = 1 << 20;
const MEMORY_MAX: u64 = 1 << 44;
const DRAIN_TIMEOUT_S_MAX: u64 = 86_400;

pub(crate) fn read(root: Block<'_>, findings: &mut Findings) -> Runtime {
    let mut runtime = Runtime::default();
    let Some(block) = root.block("runtime") else { return runtime };
    if let Some(shards) = block.value("shards").and_then(|value| read_shards(value, findings)) {
        runtime.shards = shards;
    }
    if let Some(max) =
        block.value("max-connections").and_then(|value| value.integer(1..=CONNECTIONS_MAX, findings))
    {
        runtime.connections_max = max;
    }
    runtime.memory_max =
        block.value("max-memory").and_then(|value| value.size(MEMORY_MIN..=MEMORY_MAX, findings));
    if let Some(timeout) =
        block.value("drain-timeout-s").and_then(|value| value.integer(1..=DRAIN_TIMEOUT_S_MAX, findings))
    {
        runtime.drain_timeout_s = timeout;
    }
    runtime
}

fn read_shards(value: Value<'_>, findings: &mut Findings) -> Option<Shards> {
    let shards = value.text().as_deref().and_then(parse_shards);
    if shards.is_none() {
        let help = format!(
            "write \"auto\", a count from 1 to {SHARDS_MAX}, or CPUs as \"0-3,8\", each once and at most {}",
            SHARDS_MAX - 1
        );
        findings.mistake(value.span(), "`shards` is neither \"auto\", nor a count, nor a list of CPUs", help);
    }
    shards
}

fn parse_shards(text: &str) -> Option<Shards> {
    if text == "auto" {
        return Some(Shards::Auto);
    }
    if let Some(count) = parse_number(text) {
        return NonZeroUsize::new(count).filter(|count| count.get() <= SHARDS_MAX).map(Shards::Count);
    }
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (parse_number(first.trim())?, parse_number(last.trim())?);
        if first > last || last >= SHARDS_MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    let is_set = cpus.windows(2).all(|pair| pair[0] != pair[1]);
    is_set.then_some(Shards::Cpus(cpus))
}

/// Digits only: `usize::from_str` takes a sign as well.
fn parse_number(text: &str) -> Option<usize> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards() {
        let count = |count| Some(Shards::Count(NonZeroUsize::new(count).unwrap()));
        for (text, shards) in [
            ("auto", Some(Shards::Auto)),
            ("4", count(4)),
            ("1024", count(1024)),
            ("0-3,8", Some(Shards::Cpus(vec![0, 1, 2, 3, 8]))),
            ("8, 0-1", Some(Shards::Cpus(vec![0, 1, 8]))),
            ("5-5", Some(Shards::Cpus(vec![5]))),
            ("0", None),
            ("1025", None),
            ("-1", None),
            ("+1", None),
            ("3-0", None),
            ("0-3,2", None),
            ("0,", None),
            ("0-99999999999", None),
            ("0-1024", None),
            ("", None),
            ("all", None),
        ] {
            assert_eq!(parse_shards(text), shards, "{text}");
        }
    }
}
