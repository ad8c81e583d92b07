//! Answers to senders of dropped messages: a text message of our own, between those of the other endpoint.

use wsi_policy::Direction;
use wsi_ws::{Opcode, Role};

use super::{
    Session,
    message::{Judged, mask_key},
    roles::sends,
};
use crate::{half::Half, pipeline::Reply, transmit::OwnedFrame, worker::Worker};

/// Answers that may wait for one endpoint; those beyond are left out, so that a flood of dropped messages is no flood of answers.
const REPLIES_MAX: usize = 16;

impl Session {
    /// The next answer for `role`, whose messages were dropped. Ask for it after every [`Session::handle_input`] of its direction,
    /// and whenever `role` takes bytes again; as long as it takes none, do not ask.
    #[inline]
    pub fn poll_reply(&mut self, role: Role, now_ns: u64, worker: &mut Worker) -> Option<OwnedFrame> {
        if self.half(sends(role)).replies.is_empty() { None } else { self.next_reply(role, now_ns, worker) }
    }

    /// A message was dropped, and its sender is to be told.
    pub(super) fn owe_reply(&mut self, direction: Direction, reply: Reply, worker: &mut Worker) -> Judged {
        let replies = &mut self.half(direction).replies;
        if replies.len() < REPLIES_MAX {
            replies.push(reply);
            return Judged::Owed;
        }
        self.omit_replies(1, worker);
        Judged::Nothing
    }

    fn next_reply(&mut self, role: Role, now_ns: u64, worker: &mut Worker) -> Option<OwnedFrame> {
        let (direction, back) = (sends(role), sends(role).reverse());
        let towards = self.half(back);
        if towards.is_closed {
            // Nothing may follow a close frame (RFC 6455 section 5.5.1).
            let omitted = std::mem::take(&mut self.half(direction).replies).len();
            self.omit_replies(omitted as u64, worker);
            return None;
        }
        if !towards.is_between_messages() {
            return None;
        }
        let replies = &mut self.half(direction).replies;
        let Reply { text, permit } = replies.remove(0);
        if replies.is_empty() {
            *replies = Vec::new();
        }
        if let Some(stats) = worker.stats_mut(&self.engine) {
            stats.replies_sent += 1;
        }
        let compressed = self.recompress(back, text.as_bytes(), true, now_ns, worker);
        let key = mask_key(back, worker);
        Some(match compressed {
            Some(buffer) => OwnedFrame::from_compressed(permit, Opcode::Text, buffer, key),
            None => OwnedFrame::from_reply(permit, &text, key),
        })
    }

    fn omit_replies(&mut self, count: u64, worker: &mut Worker) {
        if let Some(stats) = worker.stats_mut(&self.engine) {
            stats.replies_omitted += count;
        }
    }
}

impl Half {
    /// Whether a message of our own may leave now. Not within one that leaves in parts (RFC 6455 section 5.4), and not before a frame
    /// that is ready: if both are compressed, the second may refer to the first.
    fn is_between_messages(&self) -> bool {
        self.ready.is_none() && !self.stream.as_ref().is_some_and(|stream| stream.has_left)
    }
}
