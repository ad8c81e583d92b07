//! Plays connections to the configurations on trial, and tells what they say.

use std::error::Error;

use wsi_config::policy::Direction;

use super::{
    connection::{Connection, Decided, Item, What},
    course::Course,
    opening::Opening,
    report::{Report, Row},
    tally::Traffic,
    trial::Trial,
    verdict::Verdict,
};
use crate::selftest::frames::{FIN, Framer};

pub(super) type Fault = Box<dyn Error>;

pub(super) struct Player<'a> {
    pub trials: Vec<Trial>,
    pub traffic: Traffic,
    report: Report<'a>,
}

impl<'a> Player<'a> {
    pub fn new(trials: Vec<Trial>, report: Report<'a>) -> Self {
        Self { trials, traffic: Traffic::default(), report }
    }

    /// What is played from now on is in the file of that name.
    ///
    /// # Errors
    /// The output's.
    pub fn begin(&mut self, capture: &str) -> Result<(), Fault> {
        self.traffic.captures += 1;
        Ok(self.report.begin(capture)?)
    }

    /// # Errors
    /// What keeps a policy from being chosen, or the output's.
    pub fn open(&mut self, name: String, opening: &Opening) -> Result<Connection, Fault> {
        let mut courses = Vec::new();
        let mut verdicts = Vec::new();
        for trial in &mut self.trials {
            let (course, verdict) =
                Course::open(trial, opening).map_err(|why| format!("connection {name}: {why}"))?;
            courses.push(course);
            verdicts.push(verdict);
        }
        self.traffic.connections += 1;
        let was_refused = courses.iter().map(|course| !course.is_open()).collect();
        let connection = Connection::new(name, courses, was_refused, opening.at_ns.unwrap_or(0));
        if opening.request.is_some() {
            self.tell(&connection, Decided { what: What::Upgrade { at_ns: opening.at_ns }, verdicts })?;
        }
        Ok(connection)
    }

    /// A message or control frame that was recorded without its frames.
    ///
    /// # Errors
    /// The output's.
    pub fn message(
        &mut self,
        connection: &mut Connection,
        direction: Direction,
        at_ns: u64,
        opcode: u8,
        payload: &[u8],
    ) -> Result<(), Fault> {
        self.bytes(connection, direction, at_ns, &Framer::new(direction).frame(FIN | opcode, payload))
    }

    /// Bytes of frames, cut anywhere.
    ///
    /// # Errors
    /// The output's.
    pub fn bytes(
        &mut self,
        connection: &mut Connection,
        direction: Direction,
        at_ns: u64,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        connection.wait(&mut self.trials, at_ns);
        connection.take(&mut self.trials, direction, bytes);
        self.tell_decided(connection)
    }

    /// Nothing more is known of the connection.
    ///
    /// # Errors
    /// The output's.
    pub fn close(&mut self, mut connection: Connection) -> Result<(), Fault> {
        Direction::BOTH.into_iter().for_each(|direction| connection.stop(direction));
        self.tell_decided(&mut connection)?;
        self.traffic.not_followed += u64::from(connection.lost.iter().any(Option::is_some));
        Ok(self.report.end(&connection)?)
    }

    /// What there is to say of the capture, rather than of a connection in it.
    ///
    /// # Errors
    /// The output's.
    pub fn note(&mut self, text: &str) -> Result<(), Fault> {
        Ok(self.report.note(text)?)
    }

    /// # Errors
    /// The output's.
    pub fn finish(mut self) -> Result<(Traffic, Vec<Trial>), Fault> {
        self.report.summary(&self.traffic, &self.trials)?;
        Ok((self.traffic, self.trials))
    }

    fn tell_decided(&mut self, connection: &mut Connection) -> Result<(), Fault> {
        for decided in connection.decided() {
            self.tell(connection, decided)?;
        }
        Ok(())
    }

    fn tell(&mut self, connection: &Connection, decided: Decided) -> Result<(), Fault> {
        let Decided { what, verdicts } = decided;
        let (direction, is_message) = match &what {
            What::Item(item) => {
                self.count(item);
                (Some(item.direction), !item.is_control())
            }
            What::Upgrade { .. } | What::Silence { .. } => (None, false),
        };
        for (trial, verdict) in self.trials.iter_mut().zip(&verdicts) {
            trial.tally.add(verdict, direction, is_message);
        }
        let differs = self.differs(&verdicts);
        self.traffic.differences += u64::from(differs == Some(true));
        Ok(self.report.row(&Row { connection: &connection.name, what, verdicts: &verdicts, differs })?)
    }

    /// `None`: there is nothing to compare.
    fn differs(&mut self, verdicts: &[Verdict]) -> Option<bool> {
        let [a, b] = verdicts else { return None };
        let is_over = [a, b].map(|verdict| matches!(verdict, Verdict::NotRelayed));
        if is_over[0] != is_over[1] {
            self.traffic.not_compared += 1;
            return Some(false);
        }
        Some(!a.is_same(b))
    }

    fn count(&mut self, item: &Item) {
        let at = item.direction.index();
        if item.is_control() {
            self.traffic.control_frames[at] += 1;
        } else {
            self.traffic.messages[at] += 1;
            self.traffic.bytes[at] = self.traffic.bytes[at].saturating_add(item.size);
            self.traffic.unfinished[at] += u64::from(!item.is_whole);
        }
    }
}
