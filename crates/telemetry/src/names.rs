//! Ids become names where somebody reads them, not on the message path.

use std::sync::OnceLock;

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
    /// Rules that come with configurations of a proxy, after those: each is set once.
    pub(crate) learned: Box<[OnceLock<String>]>,
}

impl PolicyNames {
    /// Rules that may be learned of a policy that a proxy can add to.
    pub const LEARNED_MAX: usize = 1_024;

    /// Places for counters: of rules that are known, and of those that may be learned.
    pub(crate) fn places(&self) -> usize {
        self.rules.len() + self.learned.len()
    }

    /// The name at [`RuleId::index`].
    pub(crate) fn rule(&self, index: usize) -> Option<&str> {
        let learned = || self.learned.get(index - self.rules.len())?.get().map(String::as_str);
        self.rules.get(index).map(String::as_str).or_else(learned)
    }

    /// Names known so far.
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        (0..self.places()).map_while(|index| self.rule(index))
    }
}

impl Names {
    /// `engines` in the order of [`Engine::index`].
    pub fn new<'a>(listeners: Vec<String>, engines: impl IntoIterator<Item = &'a Engine>) -> Self {
        let policy_names = |engine: &Engine| PolicyNames {
            name: engine.name().to_owned(),
            rules: engine.rules().names().to_vec(),
            learned: Box::default(),
        };
        Self {
            listeners,
            policies: engines.into_iter().map(policy_names).collect(),
            fixed_rules: RuleTable::default().names().to_vec(),
        }
    }

    /// Makes room for what [`Names::learn`] adds to these policies.
    #[must_use]
    pub fn with_room(mut self, policies: impl IntoIterator<Item = usize>) -> Self {
        for policy in policies {
            if let Some(policy) = self.policies.get_mut(policy) {
                policy.learned = (0..PolicyNames::LEARNED_MAX).map(|_| OnceLock::new()).collect();
            }
        }
        self
    }

    /// Adds the rules of an engine that takes the place of another one ([`Engine::compile_over`]). `Err`: they are too many.
    pub fn learn(&self, engine: &Engine) -> Result<(), TooManyRules> {
        let Some(policy) = self.policies.get(engine.index()) else { return Ok(()) };
        let names = engine.rules().names();
        if names.len() > policy.places() {
            return Err(TooManyRules);
        }
        for (place, name) in policy.learned.iter().zip(names.iter().skip(policy.rules.len())) {
            place.get_or_init(|| name.clone());
        }
        Ok(())
    }

    pub fn listener(&self, listener: u16) -> &str {
        self.listeners.get(usize::from(listener)).map_or(UNKNOWN, String::as_str)
    }

    pub fn policy(&self, policy: u16) -> &str {
        self.policies.get(usize::from(policy)).map_or(UNKNOWN, |policy| &policy.name)
    }

    pub fn rule(&self, policy: Option<u16>, rule: RuleId) -> &str {
        let policy = policy.and_then(|policy| self.policies.get(usize::from(policy)));
        let name = match policy {
            Some(policy) => policy.rule(rule.index()),
            None => self.fixed_rules.get(rule.index()).map(String::as_str),
        };
        name.unwrap_or(UNKNOWN)
    }
}

/// A proxy's configuration would bring more rules than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRules;
