//! `audit` and `admin`: what leaves the process beside the traffic.

use std::ops::RangeInclusive;
use std::path::Path;

use crate::diagnostics::Findings;
use crate::document::Block;
use crate::file;
use crate::settings::{Admin, Audit, Payload};

const ROTATE_SIZES: RangeInclusive<u64> = 1 << 20..=1 << 40;
const ROTATE_SECONDS: RangeInclusive<u64> = 60..=31_536_000;

pub(crate) fn read_audit(root: Block<'_>, findings: &mut Findings) -> Option<Audit> {
    let block = root.block("audit")?;
    let choices =
        [("none", Ok(Payload::None)), ("hash", Ok(Payload::Hash)), ("redacted", Ok(Payload::Redacted))];
    let payload = block.value("payload").and_then(|value| value.choice(&choices, findings));
    let path = block.value("path").and_then(|value| value.string(findings))?;
    let rotate_size = block.value("rotate-size").and_then(|value| value.size(ROTATE_SIZES, findings));
    let rotate_s = block.value("rotate-s").and_then(|value| value.integer(ROTATE_SECONDS, findings));
    let keep = block.value("keep").and_then(|value| Some((value, value.integer(1..=1_000_000, findings)?)));
    if let Some((value, _)) = keep.filter(|_| rotate_size.is_none() && rotate_s.is_none()) {
        let text = "`keep` has no effect without rotate-size or rotate-s";
        findings.warning(value.span(), text.to_owned());
    }
    let flag = |name, findings: &mut Findings| block.value(name).and_then(|value| value.boolean(findings));
    Some(Audit {
        path: path.into(),
        payload: payload.unwrap_or_default(),
        is_chained: flag("chain", findings).unwrap_or(false),
        rotate_size,
        rotate_s,
        kept_max: keep.and_then(|(_, keep)| usize::try_from(keep).ok()),
        compresses: flag("compress", findings).unwrap_or(false),
    })
}

pub(crate) fn read_admin(root: Block<'_>, base: &Path, findings: &mut Findings) -> Option<Admin> {
    let block = root.block("admin")?;
    let value = block.value("bind")?;
    let bind = value.address(findings)?;
    if !bind.ip().to_canonical().is_loopback() {
        let text = format!("admin listens on {bind}, beyond this machine: whoever reaches it may look");
        findings.warning(value.span(), text);
    }
    let holds = "the token of admin";
    let token_path =
        block.value("token-path").and_then(|value| file::find(value, "file", holds, base, findings));
    Some(Admin { bind, token_path })
}
