use std::collections::BTreeMap;

use super::*;
use crate::PolicyNames;

/// Name and sorted labels.
type Series = (String, Vec<(String, String)>);

fn names() -> Names {
    let rules = ["fixed/a", "fixed/b", "own", "twice", "twice"].map(String::from).to_vec();
    let policy = |name: &str| PolicyNames { name: name.into(), rules: rules.clone(), ..Default::default() };
    let mut names = Names::new(vec![], []);
    names.policies = vec![policy("plain"), policy("od\"d\\\nname")];
    names.fixed_rules = rules[..2].to_vec();
    names
}

fn exposition(shards: usize) -> Exposition {
    let names = Arc::new(names());
    let shards = (0..shards).map(|_| Arc::new(ShardCells::new(&names))).collect();
    Exposition::new(names, shards, Arc::default(), Arc::default(), "1.2.3")
}

fn key(name: &str, labels: &[(&str, &str)]) -> Series {
    let mut labels: Vec<_> = labels.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    labels.sort();
    (name.to_owned(), labels)
}

#[test]
fn shards_are_summed() {
    let exposition = exposition(2);
    for (shard, scale) in exposition.shards.iter().zip([1, 100]) {
        let stats = Stats {
            messages: [scale, 2 * scale],
            upgrades_refused: 3 * scale,
            verdicts: vec![[0, 0], [scale, 0], [0, 0], [scale, 4 * scale], [scale, 0]],
            ..Stats::default()
        };
        let unrouted =
            Stats { upgrades_refused: 5 * scale, verdicts: vec![[7 * scale, 0]], ..Stats::default() };
        let dataplane = DataplaneStats {
            connections_open: scale,
            bytes_sent: [0, 6 * scale],
            bytes_received: [scale, 8 * scale],
            audit_lost: scale,
            ..DataplaneStats::default()
        };
        shard.store(&[stats], &unrouted, &dataplane);
    }
    exposition.audit.written.set(9);
    let found = parse(&exposition.render());

    let expect =
        |name, labels: &[_], value| assert_eq!(found.get(&key(name, labels)), Some(&value), "{name}");
    expect("wsi_shards", &[], 2);
    expect("wsi_build_info", &[("version", "1.2.3")], 1);
    expect("wsi_connections_open", &[], 101);
    expect("wsi_shard_connections_open", &[("shard", "0")], 1);
    expect("wsi_shard_connections_open", &[("shard", "1")], 100);
    expect("wsi_shard_received_bytes_total", &[("shard", "1")], 900);
    expect("wsi_sent_bytes_total", &[("direction", "to_client")], 606);
    expect("wsi_messages_total", &[("policy", "plain"), ("direction", "to_server")], 101);
    expect("wsi_messages_total", &[("policy", "plain"), ("direction", "to_client")], 202);
    expect("wsi_upgrades_total", &[("policy", "plain"), ("outcome", "refused")], 303);
    expect("wsi_upgrades_total", &[("policy", ""), ("outcome", "refused")], 505);
    expect("wsi_audit_lost_total", &[("reason", "queue_full")], 101);
    expect("wsi_audit_written_total", &[], 9);

    let verdicts = |policy, rule| {
        let labels = [("policy", policy), ("rule", rule), ("direction", "to_server")];
        found.get(&key("wsi_verdicts_total", &labels)).copied()
    };
    assert_eq!(verdicts("plain", "fixed/a"), None, "never broken, not of the configuration");
    assert_eq!(verdicts("plain", "fixed/b"), Some(101));
    assert_eq!(verdicts("plain", "own"), Some(0));
    assert_eq!(verdicts("plain", "twice"), Some(202), "one series for two rules of one name");
    assert_eq!(verdicts("", "fixed/a"), Some(707));
    assert_eq!(verdicts("od\"d\\\nname", "own"), Some(0), "escaped and unescaped");
}

#[test]
fn huge_policies_show_only_what_was_broken() {
    let mut names = names();
    names.policies[0].rules.extend((0..ZERO_RULES_MAX).map(|i| format!("more-{i}")));
    let names = Arc::new(names);
    let shard = Arc::new(ShardCells::new(&names));
    let stats = Stats { verdicts: vec![[0, 0], [0, 0], [1, 0]], ..Stats::default() };
    shard.store(&[stats], &Stats::default(), &DataplaneStats::default());
    let found = parse(&Exposition::new(names, vec![shard], Arc::default(), Arc::default(), "").render());
    let of_plain = |(name, labels): &Series| {
        name == "wsi_verdicts_total" && labels.contains(&("policy".into(), "plain".into()))
    };
    assert_eq!(found.keys().filter(|series| of_plain(series)).count(), 2);
}

/// Reads the format strictly: a head before its samples, one block a metric, no series twice, integers only.
fn parse(text: &str) -> BTreeMap<Series, u64> {
    assert!(text.ends_with('\n'));
    let mut series = BTreeMap::new();
    let mut seen = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(head) = lines.next() {
        let (name, help) = head.strip_prefix("# HELP ").unwrap().split_once(' ').unwrap();
        assert!(!help.is_empty() && !help.contains('\\'), "{head}");
        assert!(name.starts_with("wsi_") && name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        assert!(!seen.contains(&name), "{name} is there twice");
        seen.push(name);
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        assert!(["counter", "gauge"].contains(&kind));
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = line.strip_prefix(name).unwrap();
            let (labels, value) = parse_labels(rest);
            let value = value.strip_prefix(' ').unwrap().parse().unwrap();
            assert_eq!(series.insert((name.to_owned(), labels), value), None, "{line} is there twice");
        }
    }
    series
}

/// The labels, sorted, and what follows them.
fn parse_labels(text: &str) -> (Vec<(String, String)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (vec![], text) };
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase()), "{text}");
        let (mut value, mut chars) = (String::new(), after.chars());
        loop {
            match chars.next().unwrap() {
                '"' => break,
                '\\' => value.push(match chars.next().unwrap() {
                    'n' => '\n',
                    each @ ('\\' | '"') => each,
                    other => panic!("no such escape: {other}"),
                }),
                each => value.push(each),
            }
        }
        labels.push((name.to_owned(), value));
        rest = chars.as_str();
        match rest.chars().next().unwrap() {
            ',' => rest = &rest[1..],
            '}' => break,
            other => panic!("{other} after a label"),
        }
    }
    labels.sort();
    (labels, &rest[1..])
}
