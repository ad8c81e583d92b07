//! One direction of a session: what one endpoint sends.

use std::sync::Arc;

use wsi_policy::Direction;
use wsi_ratelimit::Bucket;
use wsi_ws::{Assembler, Decoder, Role, deflate::Flow};

use crate::{
    engine::Engine,
    pipeline::{Reply, Stream},
    recompress::Recompressor,
    stage,
    transmit::OwnedFrame,
};

/// Receiving state of one direction. Nearly all of it is inline and small: an idle connection holds two.
#[derive(Debug)]
pub(crate) struct Half {
    pub direction: Direction,
    /// Of the message that is open, or comes next.
    pub engine: Arc<Engine>,
    pub decoder: Decoder,
    pub assembler: Assembler,
    pub buckets: Box<[Bucket]>,
    /// Of pings and pongs.
    pub control: Bucket,
    /// Of a message that is too large to be held.
    pub stream: Option<Box<StreamState>>,
    /// `None`: what leaves is plain.
    pub recompressor: Option<Box<Recompressor>>,
    /// A frame that must leave before more input is taken.
    pub ready: Option<Box<OwnedFrame>>,
    /// What the sender is still to be told of its messages that were dropped.
    pub replies: Vec<Reply>,
    /// The sender has sent a close frame: what follows is not read (RFC 6455 section 5.5.1).
    pub is_closed: bool,
    /// When the first byte of what is not complete came, be it a message or a frame's header.
    pub message_began_ns: Option<u64>,
}

/// How far a message has come that leaves in parts.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    pub stream: Stream,
    /// Bytes, from the start of what the assembler holds, that have been inspected.
    pub inspected: usize,
    /// A part has left.
    pub has_left: bool,
}

impl Half {
    /// `from` and `to` say how messages are compressed on the sender's leg and on the receiver's, if they are.
    pub fn new(
        direction: Direction,
        from: Option<Flow>,
        to: Option<Flow>,
        engine: &Arc<Engine>,
        now_ns: u64,
    ) -> Self {
        let sender = match direction {
            Direction::ToServer => Role::Client,
            Direction::ToClient => Role::Server,
        };
        Self {
            direction,
            engine: Arc::clone(engine),
            decoder: from.map_or_else(|| Decoder::new(sender), |_| Decoder::with_deflate(sender)),
            assembler: from.map_or_else(Assembler::default, Assembler::with_deflate),
            stream: None,
            recompressor: to.and_then(|flow| Recompressor::new(flow, from.is_some())).map(Box::new),
            buckets: stage::rate::buckets(engine.plan(direction), now_ns),
            control: Bucket::full(&engine.control_rate, now_ns),
            ready: None,
            replies: Vec::new(),
            is_closed: false,
            message_began_ns: None,
        }
    }

    /// Goes on under `engine` if no message is open.
    pub fn adopt(&mut self, engine: &Arc<Engine>, now_ns: u64) {
        if self.assembler.is_open() || !self.decoder.is_between_frames() {
            return;
        }
        let (before, after) = (self.engine.plan(self.direction), engine.plan(self.direction));
        if !stage::rate::are_alike(before, after) {
            self.buckets = stage::rate::buckets(after, now_ns);
        }
        if self.engine.control_rate != engine.control_rate {
            self.control = Bucket::full(&engine.control_rate, now_ns);
        }
        self.engine = Arc::clone(engine);
    }

    /// What comes may be compressed.
    #[inline]
    pub fn deflates(&self) -> bool {
        self.assembler.deflates()
    }

    /// Starts the time of a message when a part of one has come, and stops it when nothing is open.
    pub fn watch_the_clock(&mut self, now_ns: u64) {
        let is_open = self.assembler.is_open() || !self.decoder.is_between_frames();
        self.message_began_ns = if is_open { self.message_began_ns.or(Some(now_ns)) } else { None };
    }
}
