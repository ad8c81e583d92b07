//! Who sends what.

use wsi_policy::Direction;
use wsi_ws::Role;

use crate::event::Initiator;

pub(super) const fn sender(direction: Direction) -> Role {
    match direction {
        Direction::ToServer => Role::Client,
        Direction::ToClient => Role::Server,
    }
}

pub(super) const fn sends(role: Role) -> Direction {
    match role {
        Role::Client => Direction::ToServer,
        Role::Server => Direction::ToClient,
    }
}

pub(super) const fn other(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

pub(super) const fn initiator(direction: Direction) -> Initiator {
    match direction {
        Direction::ToServer => Initiator::Client,
        Direction::ToClient => Initiator::Server,
    }
}
