//! The attacks, a file for each class. What a policy names is a [`Subject`]; what it allows at most is in [`Bounds`].

pub(super) mod benign;
pub(super) mod binary;
pub(super) mod compression;
pub(super) mod encodings;
pub(super) mod fragmentation;
pub(super) mod framing;
pub(super) mod lifecycle;
pub(super) mod resources;
pub(super) mod schemas;
pub(super) mod text;
pub(super) mod upgrades;

use wsi_config::policy::{Direction, Mode, Policy};

use super::{
    frames::{Framer, TEXT},
    sample::Sample,
    trial::{After, Claim, Expect, Variant},
};

/// Messages that are larger are not tried: a limit of many megabytes is no gap, and filling it takes long.
pub(super) const SIZE_MAX: u64 = 16 << 20;
/// More frames of one attack are not tried.
pub(super) const FRAMES_MAX: u64 = 200_000;
/// Places where one sample is cut.
pub(super) const CUTS_MAX: usize = 64;

/// A group of attacks, and a part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    Handshake,
    Framing,
    Fragmentation,
    Compression,
    Text,
    Binary,
    Schema,
    Resources,
    Lifecycle,
    Benign,
}

impl Class {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Framing => "framing",
            Self::Fragmentation => "fragmentation",
            Self::Compression => "compression",
            Self::Text => "text and JSON",
            Self::Binary => "binary",
            Self::Schema => "schema",
            Self::Resources => "resources",
            Self::Lifecycle => "lifecycle",
            Self::Benign => "benign",
        }
    }
}

/// What a policy takes at most in one direction, in bytes and frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub message_size_max: u64,
    /// Larger messages may be inspected as they come.
    pub held_size_max: u64,
    pub frame_size_max: u64,
    pub fragments_max: u64,
    pub inflate_ratio_max: u64,
    pub control_frames_per_second: u64,
}

impl Bounds {
    pub fn of(policy: &Policy, direction: Direction) -> Self {
        let limits = &policy.limits;
        let filters = policy.content_filters.iter().filter(|filter| filter.directions.contains(direction));
        let filter_size = filters.filter_map(|filter| filter.message_size_max).min();
        let message_size_max = match (policy.mode, filter_size) {
            (_, None) => limits.message_size_max,
            (Mode::Enforce, Some(size)) => size,
            // It must hold what it lets pass.
            (Mode::Detect, Some(size)) => size.max(limits.message_size_max),
        };
        Self {
            message_size_max,
            held_size_max: limits.held_size_max,
            frame_size_max: limits.frame_size_max.unwrap_or(message_size_max).min(message_size_max),
            fragments_max: limits.fragments_max.into(),
            inflate_ratio_max: limits.inflate_ratio_max.into(),
            control_frames_per_second: limits.control_frames_per_second,
        }
    }
}

/// Something that a rule names, on its way in one direction.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub sample: &'a Sample,
    pub claim: &'a Claim,
    pub direction: Direction,
    pub bounds: Bounds,
}

impl Subject<'_> {
    fn framer(&self) -> Framer {
        Framer::new(self.direction)
    }

    /// An attack that the rule should stop.
    fn variant(&self, class: Class, group: &'static str, name: impl Into<String>, wire: Vec<u8>) -> Variant {
        Variant {
            class,
            group,
            name: name.into(),
            direction: self.direction,
            wire,
            compressed: false,
            after: After::Pong,
            token: self.sample.token.clone(),
            expect: Expect::Stopped(self.claim.clone()),
        }
    }

    fn compressed(&self, group: &'static str, name: impl Into<String>, wire: Vec<u8>) -> Variant {
        Variant { compressed: true, ..self.variant(Class::Compression, group, name, wire) }
    }

    /// A text message in one frame.
    fn text(&self, group: &'static str, name: impl Into<String>, payload: &[u8]) -> Variant {
        self.variant(Class::Text, group, name, self.framer().frame(super::frames::FIN | TEXT, payload))
    }

    fn fits(&self, size: usize) -> bool {
        let size = size as u64;
        size <= self.bounds.message_size_max && size <= self.bounds.frame_size_max && size <= SIZE_MAX
    }
}

/// An attack on the protocol or a limit: no policy may let it pass.
#[derive(Clone, Copy)]
pub(super) struct Fault {
    pub class: Class,
    pub group: &'static str,
    pub direction: Direction,
}

impl Fault {
    fn variant(self, name: impl Into<String>, codes: &'static [u16], wire: Vec<u8>) -> Variant {
        Variant {
            class: self.class,
            group: self.group,
            name: name.into(),
            direction: self.direction,
            wire,
            compressed: false,
            after: After::Pong,
            token: Vec::new(),
            expect: Expect::Refused { codes, verdict: true },
        }
    }

    fn framer(self) -> Framer {
        Framer::new(self.direction)
    }
}

impl Variant {
    fn then(self, after: After) -> Self {
        Self { after, ..self }
    }
}

/// Places to cut `size` bytes at: all of them, or evenly spread.
pub(super) fn cuts(size: usize) -> impl Iterator<Item = usize> {
    let step = size.div_ceil(CUTS_MAX).max(1);
    (1..size).step_by(step)
}
