//! The entrance for who has parsed the protocol already and can't send bytes: frames in, a word on each out.
//!
//! A proxy asks about one frame at a time and passes it, withholds it, or ends the connection. It can't hold a frame and pass
//! it later, nor pass another one instead. What follows from that:
//!
//! - **Fragments that were allowed are gone.** Every fragment is inspected together with those before it, so a signature that
//!   was cut is seen no later than when the message ends, and the message never becomes complete at its receiver.
//! - **Drop** withholds a message as a whole: at its first fragment, all that follow are withheld too. Once a fragment has
//!   passed, withholding the rest would leave half a message open, or splice it to the next one: the connection is closed
//!   with 1008 instead.
//! - **Close** of what the *server* sent reaches the client as a close frame. For a frame of the *client* it does not: the
//!   proxy (0.6.54) writes an HTTP error into the open connection and books the failure on the server, so that clients could
//!   trip the breaker of a server. So a client's frame is answered with *drop*, as is everything that it sends after, and
//!   the next frame of the server with *close*, which gives the client its code. Nothing passes that would not have passed:
//!   a dropped frame is as gone as the connection, and from then on only a bare close frame of the client's is let through, which
//!   tells the server that it is over. A server that stays silent would keep such a connection open, so a client that
//!   still sends after [`GRACE_NS`] gets the hard close.

mod anomaly;
mod half;
mod late;
mod session;
mod upgrade;

pub use self::{
    anomaly::Anomaly,
    session::{Frame, FrameSession, FrameVerdict, GRACE_NS},
    upgrade::{Offer, OfferRefused},
};
