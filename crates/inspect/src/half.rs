//! One direction of a session: what one endpoint sends.

use wsi_policy::Direction;
use wsi_ratelimit::Bucket;
use wsi_ws::{Assembler, Decoder, Role};

use crate::{engine::Engine, stage, transmit::OwnedFrame};

/// Receiving state of one direction. Nearly all of it is inline and small: an idle connection holds two.
#[derive(Debug)]
pub(crate) struct Half {
    pub direction: Direction,
    pub decoder: Decoder,
    pub assembler: Assembler,
    pub buckets: Box<[Bucket]>,
    /// A frame that must leave before more input is taken.
    pub ready: Option<Box<OwnedFrame>>,
    /// The sender has sent a close frame: what follows is not read (RFC 6455 section 5.5.1).
    pub is_closed: bool,
    /// When the first byte of what is not complete came, be it a message or a frame's header.
    pub message_began_ns: Option<u64>,
}

impl Half {
    pub fn new(direction: Direction, engine: &Engine, now_ns: u64) -> Self {
        let sender = match direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        };
        Self {
            direction,
            decoder: Decoder::new(sender),
            assembler: Assembler::default(),
            buckets: stage::rate::buckets(engine.plan(direction), now_ns),
            ready: None,
            is_closed: false,
            message_began_ns: None,
        }
    }

    /// Starts the time of a message when a part of one has come, and stops it when nothing is open.
    pub fn watch_the_clock(&mut self, now_ns: u64) {
        let is_open = self.assembler.is_open() || !self.decoder.is_between_frames();
        self.message_began_ns = if is_open { self.message_began_ns.or(Some(now_ns)) } else { None };
    }
}
