//! The committed results, and how those of a run differ.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    fs,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use super::{
    legs::{Ran, Results},
    suite::sources,
};
use crate::run::Result;

/// The number of a case, `4.1.5`; in the order of the numbers.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(try_from = "String")]
pub(crate) struct Case(Vec<u16>);

/// What came of a case, or is to come of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Outcome {
    behavior: String,
    /// What may come of it too, in a case that is a race.
    #[serde(skip_serializing_if = "Option::is_none")]
    also: Option<String>,
    behavior_close: String,
    remote_close_code: Option<u16>,
    /// A name among the reasons; needed by all that is not plainly right.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
pub(crate) struct Expected {
    reasons: BTreeMap<String, String>,
    legs: BTreeMap<String, BTreeMap<Case, Outcome>>,
}

/// A line of the table.
pub(crate) struct Difference {
    leg: String,
    case: String,
    title: String,
    expected: String,
    got: String,
}

impl Expected {
    pub(crate) fn read() -> Result<Self> {
        let path = sources().join("expected.json");
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    pub(crate) fn write(&self) -> Result {
        Ok(fs::write(sources().join("expected.json"), self.to_json()?)?)
    }

    /// Takes over what came of a leg. Reasons stay; what is new and needs one is a difference until somebody writes it.
    pub(crate) fn bless(&mut self, leg: &str, results: &Results) {
        let expected = self.legs.entry(leg.to_owned()).or_default();
        for (case, ran) in results {
            let before = expected.get(case);
            if before.is_some_and(|before| before.admits(&ran.outcome)) {
                continue;
            }
            let why = before.and_then(|before| before.why.clone()).filter(|_| !ran.outcome.is_right());
            expected.insert(case.clone(), Outcome { why, ..ran.outcome.clone() });
        }
    }

    /// What is not as expected among the cases that match `patterns`: another result, none, or one without a reason.
    pub(crate) fn differences(&self, leg: &str, results: &Results, patterns: &[String]) -> Vec<Difference> {
        let nothing = BTreeMap::new();
        let expected = self.legs.get(leg).unwrap_or(&nothing);
        let difference = |case: &Case, expected: String, ran: Option<&Ran>| Difference {
            leg: leg.to_owned(),
            case: case.to_string(),
            title: ran.map_or_else(String::new, |ran| short(&ran.title)),
            expected,
            got: ran.map_or_else(|| "not run".to_owned(), |ran| ran.outcome.to_string()),
        };
        let mut differences = Vec::new();
        for (case, ran) in results {
            match expected.get(case) {
                None => differences.push(difference(case, "not in the file".to_owned(), Some(ran))),
                Some(wanted) if !wanted.admits(&ran.outcome) => {
                    differences.push(difference(case, wanted.to_string(), Some(ran)));
                }
                Some(wanted) if !self.explains(wanted) => {
                    differences.push(difference(case, "a reason (\"why\")".to_owned(), Some(ran)));
                }
                Some(_) => {}
            }
        }
        let missing =
            expected.iter().filter(|(case, _)| case.matches(patterns) && !results.contains_key(case));
        differences.extend(missing.map(|(case, wanted)| difference(case, wanted.to_string(), None)));
        differences
    }

    fn explains(&self, outcome: &Outcome) -> bool {
        outcome.is_right() || outcome.why.as_ref().is_some_and(|why| self.reasons.contains_key(why))
    }

    /// A line for each case, so that a change of one is a change of one line.
    fn to_json(&self) -> Result<String> {
        let mut json = format!("{{\n  \"reasons\": {},\n  \"legs\": {{\n", indented(&self.reasons)?);
        let mut legs = Vec::new();
        for (leg, cases) in &self.legs {
            let lines = cases
                .iter()
                .map(|(case, outcome)| Ok(format!("      \"{case}\": {}", serde_json::to_string(outcome)?)))
                .collect::<Result<Vec<_>>>()?;
            legs.push(format!("    \"{leg}\": {{\n{}\n    }}", lines.join(",\n")));
        }
        writeln!(json, "{}\n  }}\n}}", legs.join(",\n"))?;
        Ok(json)
    }
}

impl Outcome {
    pub(crate) fn new(behavior: String, behavior_close: String, remote_close_code: Option<u16>) -> Self {
        Self { behavior, also: None, behavior_close, remote_close_code, why: None }
    }

    fn admits(&self, got: &Self) -> bool {
        (self.behavior == got.behavior || self.also.as_ref() == Some(&got.behavior))
            && self.behavior_close == got.behavior_close
            && self.remote_close_code == got.remote_close_code
    }

    /// Whether it needs no reason.
    fn is_right(&self) -> bool {
        let right = |behavior: &str| matches!(behavior, "OK" | "INFORMATIONAL");
        right(&self.behavior) && right(&self.behavior_close) && self.also.is_none()
    }
}

impl Case {
    /// As the suite understands them: `9.*` is every case that begins so.
    fn matches(&self, patterns: &[String]) -> bool {
        let number = self.to_string();
        patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => number.starts_with(start),
            None => number == *pattern,
        })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(u16::to_string).collect::<Vec<_>>().join("."))
    }
}

impl FromStr for Case {
    type Err = std::num::ParseIntError;

    fn from_str(number: &str) -> std::result::Result<Self, Self::Err> {
        number.split('.').map(str::parse).collect::<std::result::Result<_, _>>().map(Self)
    }
}

impl TryFrom<String> for Case {
    type Error = std::num::ParseIntError;

    fn try_from(number: String) -> std::result::Result<Self, Self::Error> {
        number.parse()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.behavior)?;
        if let Some(also) = &self.also {
            write!(f, " or {also}")?;
        }
        if self.behavior_close != self.behavior {
            write!(f, ", close {}", self.behavior_close)?;
        }
        match self.remote_close_code {
            Some(code) => write!(f, ", {code}"),
            None => f.write_str(", no code"),
        }
    }
}

/// How many cases had each result.
pub(crate) fn summary(results: &Results) -> String {
    let mut counts = BTreeMap::new();
    for Ran { outcome, .. } in results.values() {
        let worse = if outcome.behavior_close == "OK" { &outcome.behavior } else { &outcome.behavior_close };
        *counts.entry(worse.as_str()).or_insert(0) += 1;
    }
    let counts: Vec<_> = counts.iter().map(|(behavior, count)| format!("{count} {behavior}")).collect();
    format!("{} cases: {}", results.len(), counts.join(", "))
}

pub(crate) fn table(differences: &[Difference]) -> String {
    let mut table = format!("\n{:<7} {:<8} {:<52} {:<34} {}\n", "leg", "case", "title", "expected", "got");
    for Difference { leg, case, title, expected, got } in differences {
        table.push_str(&format!("{leg:<7} {case:<8} {title:<52} {expected:<34} {got}\n"));
    }
    table
}

/// The beginning of a title, without its markup.
fn short(title: &str) -> String {
    const CHARACTERS_MAX: usize = 50;
    let plain: String =
        title.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    let line = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= CHARACTERS_MAX {
        return line;
    }
    line.chars().take(CHARACTERS_MAX - 1).chain(['…']).collect()
}

fn indented(reasons: &BTreeMap<String, String>) -> Result<String> {
    Ok(serde_json::to_string_pretty(reasons)?.replace('\n', "\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(behavior: &str, code: u16) -> Outcome {
        Outcome::new(behavior.to_owned(), "OK".to_owned(), Some(code))
    }

    fn results(outcome: Outcome) -> Results {
        BTreeMap::from([("3.2".parse().unwrap(), Ran { outcome, title: "<b>A</b> case".to_owned() })])
    }

    fn all() -> Vec<String> {
        vec!["3.*".to_owned()]
    }

    #[test]
    fn a_blessed_result_needs_a_reason_unless_it_is_right() {
        for (behavior, differences) in [("OK", 0), ("INFORMATIONAL", 0), ("NON-STRICT", 1), ("FAILED", 1)] {
            let mut expected = Expected::default();
            let results = results(outcome(behavior, 1002));
            expected.bless("client", &results);
            assert_eq!(expected.differences("client", &results, &all()).len(), differences, "{behavior}");
        }
    }

    #[test]
    fn a_reason_stays_and_a_race_may_end_either_way() {
        let mut expected = Expected::default();
        expected.reasons.insert("race".to_owned(), "it depends".to_owned());
        let raced = Outcome {
            also: Some("OK".to_owned()),
            why: Some("race".to_owned()),
            ..outcome("NON-STRICT", 1002)
        };
        expected.legs.insert("client".to_owned(), BTreeMap::from([("3.2".parse().unwrap(), raced.clone())]));
        expected.bless("client", &results(outcome("OK", 1002)));
        assert_eq!(expected.legs["client"].values().collect::<Vec<_>>(), [&raced]);
        for (behavior, code, differences) in
            [("OK", 1002, 0), ("NON-STRICT", 1002, 0), ("OK", 1000, 1), ("FAILED", 1002, 1)]
        {
            let results = results(outcome(behavior, code));
            assert_eq!(
                expected.differences("client", &results, &all()).len(),
                differences,
                "{behavior} {code}"
            );
        }
    }

    #[test]
    fn a_case_that_did_not_run_is_missed_only_where_it_was_asked_for() {
        let mut expected = Expected::default();
        expected.bless("client", &results(outcome("OK", 1002)));
        let missed =
            |pattern: &str| expected.differences("client", &Results::new(), &[pattern.to_owned()]).len();
        assert_eq!((missed("3.*"), missed("3.2"), missed("30.*"), missed("3.20")), (1, 1, 0, 0));
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let expected = Expected::read().unwrap();
        assert_eq!(serde_json::from_str::<Expected>(&expected.to_json().unwrap()).unwrap(), expected);
        assert_eq!(fs::read_to_string(sources().join("expected.json")).unwrap(), expected.to_json().unwrap());
    }
}
