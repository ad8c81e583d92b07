//! `limits`: what one connection may cost.

use wsi_policy::Limits;

use crate::diagnostics::Findings;
use crate::document::Block;

/// The largest size of a message that can be configured, in bytes.
pub(super) const MESSAGE_SIZE_MAX: u64 = 1 << 30;
const FRAGMENTS_MAX: u64 = 1 << 20;
/// No deflate stream inflates further: 258 bytes take two bits at least.
const INFLATE_RATIO_MAX: u64 = 1032;
const CONTROL_FRAMES_MAX: u64 = 1_000_000;
const MESSAGE_TIMEOUT_MS_MAX: u64 = 3_600_000;
const WRITE_TIMEOUT_MS_MAX: u64 = 3_600_000;
const IDLE_TIMEOUT_S_MAX: u64 = 2_592_000;
/// Validation recurses, so that depth is bounded by the stack of a shard.
const JSON_DEPTH_MAX: u64 = 128;
const NORMALIZE_DEPTH_MAX: u64 = 8;

pub(super) fn read(agent: Block<'_>, findings: &mut Findings) -> Limits {
    let default = Limits::default();
    let Some(block) = agent.block("limits") else { return default };
    let mut integer = |name, max| block.value(name).and_then(|value| value.integer(1..=max, findings));
    let fragments_max = integer("max-fragments", FRAGMENTS_MAX).and_then(|max| u32::try_from(max).ok());
    let inflate_ratio_max =
        integer("max-inflate-ratio", INFLATE_RATIO_MAX).and_then(|max| u32::try_from(max).ok());
    let control_frames_per_second = integer("control-frames-per-second", CONTROL_FRAMES_MAX);
    let message_timeout_ms = integer("message-timeout-ms", MESSAGE_TIMEOUT_MS_MAX);
    let write_timeout_ms = integer("write-timeout-ms", WRITE_TIMEOUT_MS_MAX);
    let idle_timeout_s = integer("idle-timeout-s", IDLE_TIMEOUT_S_MAX);
    let json_depth_max = integer("max-json-depth", JSON_DEPTH_MAX).and_then(|max| u32::try_from(max).ok());
    let normalize_depth_max =
        integer("max-normalize-depth", NORMALIZE_DEPTH_MAX).and_then(|max| u32::try_from(max).ok());
    let mut size = |name| block.value(name).and_then(|value| value.size(1..=MESSAGE_SIZE_MAX, findings));
    Limits {
        frame_size_max: size("max-frame-size"),
        message_size_max: size("max-message-size").unwrap_or(default.message_size_max),
        held_size_max: size("max-held-size").unwrap_or(default.held_size_max),
        fragments_max: fragments_max.unwrap_or(default.fragments_max),
        inflate_ratio_max: inflate_ratio_max.unwrap_or(default.inflate_ratio_max),
        control_frames_per_second: control_frames_per_second.unwrap_or(default.control_frames_per_second),
        message_timeout_ms: message_timeout_ms.unwrap_or(default.message_timeout_ms),
        write_timeout_ms: write_timeout_ms.unwrap_or(default.write_timeout_ms),
        idle_timeout_s: idle_timeout_s.unwrap_or(default.idle_timeout_s),
        json_depth_max: json_depth_max.unwrap_or(default.json_depth_max),
        normalize_depth_max: normalize_depth_max.unwrap_or(default.normalize_depth_max),
    }
}
