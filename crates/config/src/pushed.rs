//! What a proxy's own configuration says about an agent, as JSON, over what the file says: the same names, read by the same
//! grammar.

use std::path::{Path, PathBuf};

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};
use serde_json::{Map, Value};
use wsi_policy::Policy;

use crate::{ConfigError, parse};

/// The largest configuration that is taken, in bytes.
const SIZE_MAX: usize = 1 << 20;
const DEPTH_MAX: u32 = 8;

/// Blocks that may stand several times. A proxy's language keeps only the last node of a name, so there they are told
/// apart by what follows the name: `content-filter-orders`.
const LISTS: [&str; 7] =
    ["content-filter", "duplicate", "order", "rate-limit", "rewrite", "sequence", "validation"];
/// Blocks whose nodes are set one by one.
const MERGED: [&str; 2] = ["handshake", "limits"];
/// What stays the file's.
const OWN: [&str; 2] = ["transport", "type"];

/// An `agent` block of a file that a proxy may add to.
#[derive(Clone, Debug)]
pub struct Template {
    node: KdlNode,
    base: PathBuf,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("the configuration of the agent is no JSON object of at most 1 MiB")]
    NotAnObject,
    #[error("`{0}` is for the agent's own file; remove it from the proxy's `config` block")]
    Own(String),
    #[error("`{0}` nests too deep, or holds what the language has no word for")]
    Shape(String),
    #[error("{}", mistakes(.0))]
    Mistakes(ConfigError),
}

fn mistakes(error: &ConfigError) -> String {
    let texts = error.mistakes().iter().map(|mistake| format!("{mistake} ({})", mistake.help()));
    texts.collect::<Vec<_>>().join("; ")
}

impl Template {
    /// One for each of `policies`, which were read from `document`; `None` where no proxy reaches the policy.
    pub(crate) fn of_all(document: &KdlDocument, policies: &[Policy], base: &Path) -> Vec<Option<Self>> {
        let nodes = document.nodes().iter().filter(|node| node.name().value() == "agent");
        let template = |node: &KdlNode| Self { node: node.clone(), base: base.to_owned() };
        nodes.zip(policies).map(|(node, policy)| policy.transport.as_ref().map(|_| template(node))).collect()
    }

    /// The file's policy with what `json` says: values take the place of the file's, `content-filter`, `rate-limit` and
    /// `validation` come on top of them.
    ///
    /// # Errors
    /// What is wrong with it, for the person who wrote it.
    pub fn with(&self, json: &str) -> Result<Policy, PushError> {
        if json.len() > SIZE_MAX {
            return Err(PushError::NotAnObject);
        }
        let pushed: Map<String, Value> = serde_json::from_str(json).map_err(|_| PushError::NotAnObject)?;
        let mut node = self.node.clone();
        let block = node.ensure_children();
        for (key, value) in &pushed {
            merge(block, key, value)?;
        }
        let mut document = KdlDocument::new();
        document.nodes_mut().push(node);
        document.clear_format_recursive();
        document.autoformat();
        let configuration = parse("the proxy's `config` block", &document.to_string(), &self.base)
            .map_err(PushError::Mistakes)?;
        configuration.ruleset.policies.into_iter().next().ok_or(PushError::NotAnObject)
    }
}

fn merge(block: &mut KdlDocument, key: &str, value: &Value) -> Result<(), PushError> {
    if OWN.contains(&key) {
        return Err(PushError::Own(key.to_owned()));
    }
    if let Some(name) = list_of(key) {
        block.nodes_mut().push(node(name, value, DEPTH_MAX)?);
        return Ok(());
    }
    if let (true, Value::Object(members)) = (MERGED.contains(&key), value)
        && let Some(own) = block.get_mut(key)
    {
        let own = own.ensure_children();
        for (key, value) in members {
            set(own, node(key, value, DEPTH_MAX)?);
        }
        return Ok(());
    }
    set(block, node(key, value, DEPTH_MAX)?);
    Ok(())
}

/// The block that a name such as `content-filter-2` stands for.
fn list_of(key: &str) -> Option<&'static str> {
    LISTS
        .into_iter()
        .find(|name| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-')))
}

fn set(block: &mut KdlDocument, node: KdlNode) {
    let nodes = block.nodes_mut();
    match nodes.iter_mut().find(|own| own.name().value() == node.name().value()) {
        Some(own) => *own = node,
        None => nodes.push(node),
    }
}

/// A scalar or an array becomes arguments, an object a block.
fn node(name: &str, value: &Value, depth: u32) -> Result<KdlNode, PushError> {
    let shape = || PushError::Shape(name.to_owned());
    let depth = depth.checked_sub(1).ok_or_else(shape)?;
    let mut made = KdlNode::new(name);
    match value {
        Value::Object(members) => {
            let mut block = KdlDocument::new();
            for (key, value) in members {
                block.nodes_mut().push(node(list_of(key).unwrap_or(key), value, depth)?);
            }
            made.set_children(block);
        }
        Value::Array(values) => {
            for value in values {
                made.push(KdlEntry::new(scalar(value).ok_or_else(shape)?));
            }
        }
        value => made.push(KdlEntry::new(scalar(value).ok_or_else(shape)?)),
    }
    Ok(made)
}

fn scalar(value: &Value) -> Option<KdlValue> {
    match value {
        Value::Null => Some(KdlValue::Null),
        Value::Bool(flag) => Some(KdlValue::Bool(*flag)),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            Some(
                whole
                    .map_or_else(|| number.as_f64().map(KdlValue::Float), |it| Some(KdlValue::Integer(it)))?,
            )
        }
        Value::String(text) => Some(KdlValue::String(text.clone())),
        Value::Array(_) | Value::Object(_) => None,
    }
}
