//! `audit` and `admin`: what leaves the process beside the traffic.

use crate::diagnostics::Findings;
use crate::document::Block;
use crate::settings::{Admin, Audit, Payload};

pub(crate) fn read_audit(root: Block<'_>, findings: &mut Findings) -> Option<Audit> {
    let block = root.block("audit")?;
    let choices =
        [("none", Ok(Payload::None)), ("hash", Ok(Payload::Hash)), ("redacted", Ok(Payload::Redacted))];
    let payload = block.value("payload").and_then(|value| value.choice(&choices, findings));
    let path = block.value("path").and_then(|value| value.string(findings))?;
    Some(Audit { path: path.into(), payload: payload.unwrap_or_default() })
}

pub(crate) fn read_admin(root: Block<'_>, findings: &mut Findings) -> Option<Admin> {
    let value = root.block("admin")?.value("bind")?;
    let bind = value.address(findings)?;
    if !bind.ip().to_canonical().is_loopback() {
        let text = format!("admin listens on {bind}, beyond this machine, and asks nobody for a password");
        findings.warning(value.span(), text);
    }
    Some(Admin { bind })
}
