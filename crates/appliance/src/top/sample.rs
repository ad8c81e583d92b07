//! What an inspector says of itself at one moment.

use std::{collections::HashMap, error::Error};

use serde_json::Value;

use super::fetch::Fetcher;

/// Connections that are shown.
const CONNECTIONS: usize = 10;

#[derive(Debug, Default)]
pub(super) struct Sample {
    /// By name and labels, as they stand in the metrics.
    pub metrics: HashMap<String, f64>,
    /// `/api/status`.
    pub status: Value,
    /// Those with the most traffic, as in `/api/connections`.
    pub connections: Vec<Value>,
}

impl Sample {
    /// # Errors
    /// Nobody answers there, or it is no inspector.
    pub fn take(fetcher: &mut Fetcher) -> Result<Self, Box<dyn Error>> {
        let mut connections = fetcher.json(&format!("/api/connections?limit={CONNECTIONS}"))?;
        let connections = match connections["connections"].take() {
            Value::Array(connections) => connections,
            _ => Vec::new(),
        };
        let metrics = parse(&fetcher.text("/metrics")?);
        Ok(Self { metrics, status: fetcher.json("/api/status")?, connections })
    }

    /// The sum of all samples of `name` whose labels hold all of `labels`, each as `name="value"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let is_meant = |key: &str| {
            let own = key.strip_prefix(name).filter(|own| own.is_empty() || own.starts_with('{'));
            own.is_some_and(|own| labels.iter().all(|label| own.contains(label)))
        };
        self.metrics.iter().filter(|(key, _)| is_meant(key)).map(|(_, value)| value).sum()
    }
}

/// Of the Prometheus text format: `name{labels} value` a line.
fn parse(text: &str) -> HashMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?)))
        .collect()
}

/// The value of a label in `name{label="value",...}`, as it stands there.
pub(super) fn label<'k>(key: &'k str, name: &str) -> Option<&'k str> {
    let at = key.find(&format!("{name}=\""))?;
    let value = key.get(at + name.len() + 2..)?;
    value.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_of_one_name_and_all_labels() {
        let text = "# HELP a_total A.\n# TYPE a_total counter\na_total{d=\"up\",p=\"x\"} 3\na_total{d=\"down\",p=\"x\"} 4\na_total_more 9\nb 0.5\n";
        let sample = Sample { metrics: parse(text), ..Sample::default() };
        assert_eq!(sample.sum("a_total", &[]), 7.0);
        assert_eq!(sample.sum("a_total", &["d=\"up\""]), 3.0);
        assert_eq!(sample.sum("a_total", &["d=\"up\"", "p=\"y\""]), 0.0);
        assert_eq!(sample.sum("b", &[]), 0.5);
        assert_eq!(label("a_total{d=\"up\",p=\"x\"}", "p"), Some("x"));
    }
}
