//! What must hold after every step, and at the end.

use wsi_policy::Direction;

use crate::{
    oracle::{End, Expected},
    peer::{self, Got},
    scenario::MESSAGE_SIZE_MAX,
    world::World,
};

/// Room for a frame header before a message that is being put together.
const HEADER_SIZE_MAX: usize = 14;

/// After every step: order, bounds, canonical frames, and nothing that the oracle does not expect.
///
/// # Errors
/// What does not hold.
pub fn check_step(world: &World, expected: &[Expected; 2]) -> Result<(), String> {
    let bound = 2 * (MESSAGE_SIZE_MAX + HEADER_SIZE_MAX);
    if world.buffered_size() > bound {
        return Err(format!("{} bytes are held, {bound} allowed", world.buffered_size()));
    }
    for direction in Direction::BOTH {
        let (messages, close) = arrived(world, direction)?;
        let may_arrive = &expected[direction.index()].arrives;
        if messages.len() > may_arrive.len() || messages[..] != may_arrive[..messages.len()] {
            return Err(format!("{}: what arrives is not what is expected", direction.name()));
        }
        if close.is_some() && !world.is_closing() {
            return Err(format!("{}: a close that nobody sent", direction.name()));
        }
        let told = world.told().verdicts[direction.index()];
        let allowed = expected[direction.index()].verdicts + usize::from(world.has_timed_out());
        if told > allowed {
            return Err(format!("{}: {told} verdicts are told, {allowed} expected", direction.name()));
        }
    }
    Ok(())
}

/// At the end: all that had to arrive has, every verdict was told once, and so was the end.
///
/// # Errors
/// What does not hold.
pub fn check_end(world: &World, expected: &[Expected; 2]) -> Result<(), String> {
    if world.told().ends != 1 {
        return Err(format!("the end was told {} times", world.told().ends));
    }
    for direction in Direction::BOTH {
        let own = &expected[direction.index()];
        let other = &expected[direction.reverse().index()];
        // Whatever ends the connection from elsewhere may come before the rest of this direction.
        let is_undisturbed = other.end.is_none() && !world.was_disturbed();
        if !is_undisturbed {
            continue;
        }
        let (messages, close) = arrived(world, direction)?;
        if messages != own.arrives {
            let (got, all) = (messages.len(), own.arrives.len());
            return Err(format!("{}: {got} of {all} messages arrived", direction.name()));
        }
        if world.told().verdicts[direction.index()] != own.verdicts {
            return Err(format!("{}: a verdict was not told", direction.name()));
        }
        let code = own.end.map(|end| match end {
            End::Passed(code) | End::Verdict(code) => code,
        });
        if let Some(code) = code
            && close != Some(Some(code))
        {
            return Err(format!("{}: ends with {close:?} instead of {code}", direction.name()));
        }
        if let Some(End::Verdict(code)) = own.end
            && arrived(world, direction.reverse())?.1 != Some(Some(code))
        {
            return Err(format!("the sender of {} is not told {code}", direction.name()));
        }
    }
    Ok(())
}

type Arrived = (Vec<Got>, Option<Option<u16>>);

/// Messages and control frames, and the close if there was one; nothing may come behind it.
fn arrived(world: &World, direction: Direction) -> Result<Arrived, String> {
    let mut got = peer::read(direction, world.received(direction))?;
    let close = match got.iter().position(|each| matches!(each, Got::Close(_))) {
        Some(at) if at + 1 < got.len() => return Err("something follows a close".into()),
        Some(_) => got.pop(),
        None => None,
    };
    let close = close.map(|close| match close {
        Got::Close(code) => code,
        _ => None,
    });
    Ok((got, close))
}
