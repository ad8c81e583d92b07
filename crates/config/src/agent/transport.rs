//! `transport`: where a Sentinel proxy reaches the policy.

use wsi_policy::Transport;

use crate::diagnostics::Findings;
use crate::document::{self, Block, Value};

/// What the address of a unix socket holds (unix(7)), less its final NUL and the suffix under which it is made.
const PATH_LEN_MAX: usize = 100;
const SESSIONS_MAX: u64 = 1 << 24;
const AGE_S_MAX: u64 = 31_536_000;

pub(super) fn read(agent: Block<'_>, findings: &mut Findings) -> Option<Transport> {
    let node = agent.node("transport")?;
    document::argument(node)?.choice(&[("unix_socket", Ok(()))], findings)?;
    let block = Block::of(node);
    let mode = block.value("mode").and_then(|value| read_mode(value, findings));
    let sessions_max =
        block.value("max-sessions").and_then(|value| value.integer(1..=SESSIONS_MAX, findings));
    let age_max_s = block.value("max-session-age-s").and_then(|value| value.integer(1..=AGE_S_MAX, findings));
    let value = block.value("path")?;
    let path = value.string(findings)?;
    if path.len() > PATH_LEN_MAX {
        let message = format!("this path of a unix socket is longer than {PATH_LEN_MAX} bytes");
        findings.mistake(value.span(), message, "choose a shorter one, as /run/wsi/agent.sock");
    }
    Some(Transport {
        path: path.into(),
        mode: mode.unwrap_or(Transport::MODE_DEFAULT),
        sessions_max: sessions_max
            .and_then(|max| usize::try_from(max).ok())
            .unwrap_or(Transport::SESSIONS_MAX_DEFAULT),
        age_max_s,
    })
}

/// Octal digits, as chmod takes them.
fn read_mode(value: Value<'_>, findings: &mut Findings) -> Option<u32> {
    let mode = u32::from_str_radix(value.string(findings)?, 8).ok().filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        let help = "write three octal digits in quotes: mode \"0660\"";
        findings.mistake(value.span(), "this is no file mode", help);
    }
    mode
}
