//! `audit` and `admin`: what leaves the process beside the traffic.

use std::path::Path;

use crate::diagnostics::Findings;
use crate::document::Block;
use crate::file;
use crate::settings::{Admin, Audit, Payload};

pub(crate) fn read_audit(root: Block<'_>, findings: &mut Findings) -> Option<Audit> {
    let block = root.block("audit")?;
    let choices =
        [("none", Ok(Payload::None)), ("hash", Ok(Payload::Hash)), ("redacted", Ok(Payload::Redacted))];
    let payload = block.value("payload").and_then(|value| value.choice(&choices, findings));
    let path = block.value("path").and_then(|value| value.string(findings))?;
    Some(Audit { path: path.into(), payload: payload.unwrap_or_default() })
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
