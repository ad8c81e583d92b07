//! A verdict that comes when a part of the message has left.

use wsi_policy::Action;
use wsi_ws::CloseCode;

use crate::event::{Event, EventSink, Outcome, VerdictEvent};

/// Tells a drop as the close that it becomes when earlier fragments of the message are gone.
pub(super) struct TooLateToDrop<'a, S: EventSink>(pub &'a mut S);

impl<S: EventSink> EventSink for TooLateToDrop<'_, S> {
    fn policy_chosen(&mut self, policy: usize) {
        self.0.policy_chosen(policy);
    }

    fn event(&mut self, event: Event<'_>) {
        self.0.event(match event {
            Event::Verdict(verdict) if verdict.outcome == Outcome::Message(Action::Drop) => {
                let outcome = Outcome::Message(Action::Close(CloseCode::POLICY_VIOLATION));
                Event::Verdict(VerdictEvent { outcome, ..verdict })
            }
            event => event,
        });
    }
}
