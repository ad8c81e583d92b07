//! One recorded connection: its frames, and its course under each configuration.

use wsi_config::policy::Direction;

use super::{
    course::Course,
    trial::Trial,
    verdict::{Judged, Told, Verdict},
    walker::{Part, Walker},
};

pub(super) struct Connection {
    pub name: String,
    pub courses: Vec<Course>,
    /// By course.
    pub was_refused: Vec<bool>,
    /// Messages that came after a close or a refusal, by course and direction.
    pub not_relayed: Vec<[u64; 2]>,
    pub messages: [u64; 2],
    pub control_frames: [u64; 2],
    /// Why the rest of a direction is not known.
    pub lost: [Option<String>; 2],
    walkers: [Walker; 2],
    /// What has begun: messages, and control frames, by direction.
    begun: [Option<Begun>; 2],
    begun_control: [Option<Begun>; 2],
    /// Not yet told.
    decided: Vec<Decided>,
    number: u64,
    now_ns: u64,
}

/// A message or control frame that has begun.
struct Begun {
    item: Item,
    /// By course.
    judged: Vec<Judged>,
}

/// A message, or a control frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Counts messages and control frames of the connection from 1 on.
    pub number: u64,
    pub direction: Direction,
    pub opcode: u8,
    /// When its first byte came.
    pub at_ns: u64,
    /// Bytes of payload that are there.
    pub size: u64,
    pub is_compressed: bool,
    /// Its end is there.
    pub is_whole: bool,
}

/// What has been decided, under each configuration.
pub(super) struct Decided {
    pub what: What,
    /// By course.
    pub verdicts: Vec<Verdict>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum What {
    Upgrade {
        at_ns: Option<u64>,
    },
    Item(Item),
    /// The connection was closed while nothing came.
    Silence {
        at_ns: u64,
    },
}

impl Item {
    pub fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }
}

impl Connection {
    pub fn new(name: String, courses: Vec<Course>, was_refused: Vec<bool>, at_ns: u64) -> Self {
        Self {
            name,
            not_relayed: vec![[0; 2]; courses.len()],
            courses,
            was_refused,
            messages: [0; 2],
            control_frames: [0; 2],
            lost: [None, None],
            walkers: Default::default(),
            begun: [None, None],
            begun_control: [None, None],
            decided: Vec::new(),
            number: 0,
            now_ns: at_ns,
        }
    }

    /// Lets time pass until `at_ns`. Captures are not always in order: time does not go back.
    pub fn wait(&mut self, trials: &mut [Trial], at_ns: u64) {
        self.now_ns = self.now_ns.max(at_ns);
        let mut silence: Vec<Option<Told>> = vec![None; self.courses.len()];
        for (index, (course, trial)) in self.courses.iter_mut().zip(trials).enumerate() {
            if let Some((direction, told)) = course.wait(trial, self.now_ns, &self.walkers) {
                let place = direction.map(Direction::index);
                let begun = place.and_then(|at| self.begun[at].as_mut().or(self.begun_control[at].as_mut()));
                match begun {
                    Some(begun) => begun.judged[index].tell(told),
                    None => silence[index] = Some(told),
                }
            }
        }
        if silence.iter().any(Option::is_some) {
            let verdicts =
                silence.into_iter().map(|told| told.map_or(Verdict::Passed, Verdict::Told)).collect();
            self.decided.push(Decided { what: What::Silence { at_ns: self.now_ns }, verdicts });
        }
    }

    /// Takes what one endpoint sent, as bytes of frames.
    pub fn take(&mut self, trials: &mut [Trial], direction: Direction, mut bytes: &[u8]) {
        while let Some(part) = self.walkers[direction.index()].next(bytes) {
            let (own, rest) = bytes.split_at(part.size);
            bytes = rest;
            if part.begins {
                // A new message within another: the other's end will not come.
                self.finish(direction, part.is_control(), false);
                self.begin(direction, &part);
            }
            let at = (direction, self.now_ns);
            let place = if part.is_control() { &mut self.begun_control } else { &mut self.begun };
            let Some(begun) = &mut place[direction.index()] else { continue };
            begun.item.size += part.payload_size as u64;
            for ((course, trial), judged) in self.courses.iter_mut().zip(&mut *trials).zip(&mut begun.judged)
            {
                course.feed(trial, at, own, &part, &self.walkers, judged);
            }
            if part.ends {
                self.finish(direction, part.is_control(), true);
            }
        }
    }

    /// Nothing more comes in this direction: what has begun stays without its end.
    pub fn stop(&mut self, direction: Direction) {
        self.finish(direction, true, false);
        self.finish(direction, false, false);
    }

    /// What has been decided since it was asked last.
    pub fn decided(&mut self) -> Vec<Decided> {
        std::mem::take(&mut self.decided)
    }

    fn begin(&mut self, direction: Direction, part: &Part) {
        self.number += 1;
        let item = Item {
            number: self.number,
            direction,
            opcode: part.opcode,
            at_ns: self.now_ns,
            size: 0,
            is_compressed: part.is_compressed,
            is_whole: false,
        };
        let judged = self.courses.iter().map(|_| Judged::default()).collect();
        let place = if part.is_control() { &mut self.begun_control } else { &mut self.begun };
        place[direction.index()] = Some(Begun { item, judged });
    }

    fn finish(&mut self, direction: Direction, is_control: bool, is_whole: bool) {
        let place = if is_control { &mut self.begun_control } else { &mut self.begun };
        let Some(Begun { mut item, judged }) = place[direction.index()].take() else { return };
        item.is_whole = is_whole;
        let inflated = judged.iter().filter_map(Judged::size).max();
        item.size = inflated.filter(|_| item.is_compressed).unwrap_or(item.size);
        let counted = if is_control { &mut self.control_frames } else { &mut self.messages };
        counted[direction.index()] += 1;
        let verdicts: Vec<_> = judged.into_iter().map(|judged| judged.verdict(is_whole)).collect();
        if !is_control {
            for (count, verdict) in self.not_relayed.iter_mut().zip(&verdicts) {
                count[direction.index()] += u64::from(matches!(verdict, Verdict::NotRelayed));
            }
        }
        self.decided.push(Decided { what: What::Item(item), verdicts });
    }
}
