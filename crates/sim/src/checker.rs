//! What must hold after every step, and at the end.

use wsi_policy::Direction;

use crate::{
    oracle::Oracle,
    receiver::Got,
    scenario::{HELD_SIZE_MAX, Scenario},
    world::World,
};

/// Room for a frame header before a message that is being put together.
const HEADER_SIZE_MAX: usize = 14;

/// How much of each direction has been compared.
#[derive(Debug, Default)]
pub struct Checker {
    arrived: [usize; 2],
    told: [usize; 2],
}

impl Checker {
    /// After every step. What may pass has arrived, in order and nothing else; what may not has been told, once; bounds and deadlines
    /// are kept.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check_step(
        &mut self,
        world: &World,
        oracle: &Oracle<'_>,
        scenario: &Scenario,
    ) -> Result<(), String> {
        let bound = 2 * (HELD_SIZE_MAX + HEADER_SIZE_MAX);
        if world.session.buffered_size() > bound {
            return Err(format!("{} bytes are held, {bound} allowed", world.session.buffered_size()));
        }
        for direction in Direction::BOTH {
            self.check_direction(direction, world, oracle)
                .map_err(|error| format!("{}: {error}", direction.name()))?;
        }
        if world.session.is_over() != oracle.is_over() {
            return Err(format!("over: {}, expected: {}", world.session.is_over(), oracle.is_over()));
        }
        let (deadline_ns, expected_ns) = (world.session.deadline_ns(), oracle.deadline_ns());
        // The memory of compression has a deadline of its own.
        let is_compressed = scenario.legs.client.is_some() || scenario.legs.server.is_some();
        if deadline_ns > expected_ns || (deadline_ns < expected_ns && !is_compressed) {
            return Err(format!("the deadline is {deadline_ns} instead of {expected_ns}"));
        }
        Ok(())
    }

    fn check_direction(
        &mut self,
        direction: Direction,
        world: &World,
        oracle: &Oracle<'_>,
    ) -> Result<(), String> {
        let at = direction.index();
        let (receiver, course) = (&world.receivers[at], &oracle.courses[at]);
        let (got, expected) = (&receiver.got, &course.arrives);
        for (got, expected) in got.iter().zip(expected).skip(self.arrived[at]) {
            if got != expected {
                return Err(format!("{} arrives instead of {}", brief(got), brief(expected)));
            }
        }
        self.arrived[at] = got.len().min(expected.len());
        if got.len() != expected.len() {
            let next = got.get(self.arrived[at]).or(expected.get(self.arrived[at])).map(brief);
            let counts = (got.len(), expected.len());
            return Err(format!(
                "{} messages and control frames arrived, {} expected: {next:?}",
                counts.0, counts.1
            ));
        }
        if !receiver.is_at_rest() {
            return Err("only a part of a message has left".into());
        }
        let (told, expected) = (&world.told.verdicts[at], &course.verdicts);
        if told.get(self.told[at]..) != expected.get(self.told[at]..) {
            return Err(format!("{told:?} is told instead of {expected:?}"));
        }
        self.told[at] = told.len();
        if receiver.close.map(Option::unwrap_or_default) != oracle.closes[at] {
            return Err(format!("closed with {:?} instead of {:?}", receiver.close, oracle.closes[at]));
        }
        Ok(())
    }
}

/// At the end: the end is told once, and all counts are right.
///
/// # Errors
/// What does not hold.
pub fn check_end(world: &World, oracle: &Oracle<'_>) -> Result<(), String> {
    let mut expected = oracle.ended();
    for (at, course) in oracle.courses.iter().enumerate() {
        // Text that is not UTF-8 counts as a message where it lay in one read, and not where it came in pieces.
        let is_text_fault = course.verdicts.last().is_some_and(|last| last.rule == "protocol/invalid-utf8");
        if let Some(told) = world.told.ends.first().filter(|_| is_text_fault) {
            let more = told.totals.messages[at].wrapping_sub(expected.totals.messages[at]);
            if more <= 1 {
                expected.totals.messages[at] += more;
                expected.totals.bytes[at] += more;
            }
        }
    }
    if world.told.ends != [expected] {
        return Err(format!("{:?} is told at the end instead of {expected:?}", world.told.ends));
    }
    let stats = &world.worker.stats()[0];
    let counted = (stats.passed_uninspected, stats.messages, stats.message_bytes);
    let expected = (oracle.uninspected(), expected.totals.messages, expected.totals.bytes);
    if counted != expected {
        return Err(format!("{counted:?} is counted instead of {expected:?}"));
    }
    let redacted = [stats.redacted, stats.redact_failures];
    let expected = oracle.courses.iter().map(|course| [course.redacted, course.redact_failures]);
    let expected = expected.fold([0, 0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
    if redacted != expected {
        return Err(format!("{redacted:?} redactions and failures are counted instead of {expected:?}"));
    }
    let rewritten = (stats.rewritten, stats.rewrite_failures);
    let expected = oracle.courses.iter().map(|course| (course.rewritten, course.rewrite_failures));
    let expected = expected.fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
    if rewritten != expected {
        return Err(format!("{rewritten:?} rewrites and failures are counted instead of {expected:?}"));
    }
    let owed: u64 = oracle.courses.iter().map(|course| course.owed_replies).sum();
    let came: u64 = world.receivers.iter().map(|receiver| receiver.replies).sum();
    if (stats.replies_sent, stats.replies_sent + stats.replies_omitted) != (came, owed) {
        let (sent, omitted) = (stats.replies_sent, stats.replies_omitted);
        return Err(format!("{came} answers came of {owed}; {sent} were sent and {omitted} omitted"));
    }
    for direction in Direction::BOTH {
        let at = direction.index();
        let course = &oracle.courses[at];
        let controls = course.arrives.iter().filter(|got| matches!(got, Got::Control { .. })).count();
        if world.told.messages[at] != course.passed_sizes || world.told.controls[at] != controls {
            return Err(format!("{}: not every message that passed is told", direction.name()));
        }
    }
    Ok(())
}

fn brief(got: &Got) -> String {
    match got {
        Got::Message { opcode, payload } => format!("message {opcode} of {} bytes", payload.len()),
        Got::Control { opcode, payload } => format!("control frame {opcode} of {} bytes", payload.len()),
    }
}
