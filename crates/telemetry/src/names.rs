//! Ids become names where somebody reads them, not on the message path.

use wsi_inspect::{Engine, RuleId, RuleTable};

/// Stands for an id that is out of range.
const UNKNOWN: &str = "unknown";

/// The names behind the ids of listeners, policies and rules; built once, at start.
#[derive(Clone, Debug)]
pub struct Names {
    pub listeners: Vec<String>,
    /// By [`Engine::index`].
    pub policies: Vec<PolicyNames>,
    /// The rules that every engine has, and the only ones that break where no policy was chosen.
    pub fixed_rules: Vec<String>,
}

/// The names of one policy.
#[derive(Clone, Debug, Default)]
pub struct PolicyNames {
    /// Unique among the policies: it tells their metrics apart.
    pub name: String,
    /// By [`RuleId::index`]: the fixed rules first.
    pub rules: Vec<String>,
}

impl Names {
    /// `engines` in the order of [`Engine::index`].
    pub fn new<'a>(listeners: Vec<String>, engines: impl IntoIterator<Item = &'a Engine>) -> Self {
        let policy_names = |engine: &Engine| PolicyNames {
            name: engine.name().to_owned(),
            rules: engine.rules().names().to_vec(),
        };
        Self {
            listeners,
            policies: engines.into_iter().map(policy_names).collect(),
            fixed_rules: RuleTable::default().names().to_vec(),
        }
    }

    pub fn listener(&self, listener: u16) -> &str {
        self.listeners.get(usize::from(listener)).map_or(UNKNOWN, String::as_str)
    }

    pub fn policy(&self, policy: u16) -> &str {
        self.policies.get(usize::from(policy)).map_or(UNKNOWN, |policy| &policy.name)
    }

    pub fn rule(&self, policy: Option<u16>, rule: RuleId) -> &str {
        let policy = policy.and_then(|policy| self.policies.get(usize::from(policy)));
        let rules = policy.map_or(&self.fixed_rules, |policy| &policy.rules);
        rules.get(rule.index()).map_or(UNKNOWN, String::as_str)
    }
}
