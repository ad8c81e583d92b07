//! Ids become names where somebody reads them, not on the message path.

use std::sync::OnceLock;

use wsi_inspect::{Engine, RuleId, RuleTable};

/// Stands for an id that is out of range.
const UNKNOWN: &str = "unknown";

/// The names behind the ids of listeners, policies and rules; built at start, with room for what is learned later.
#[derive(Clone, Debug)]
pub struct Names {
    pub listeners: Vec<String>,
    /// By [`Engine::index`].
    pub policies: Vec<PolicyNames>,
    /// Policies that come with another configuration, after those: each is set once.
    spare: Box<[OnceLock<PolicyNames>]>,
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
    /// Rules that come with another configuration, after those: each is set once.
    pub(crate) learned: Box<[OnceLock<String>]>,
}

impl PolicyNames {
    /// Rules that may be learned of a policy.
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

    /// As the first configuration that has it names them.
    fn of(engine: &Engine, learned: usize) -> Self {
        Self {
            name: engine.name().to_owned(),
            rules: engine.rules().names().to_vec(),
            learned: (0..learned).map(|_| OnceLock::new()).collect(),
        }
    }

    fn learn(&self, names: &[String]) -> Result<(), NoRoom> {
        if names.len() > self.places() {
            return Err(NoRoom::Rules);
        }
        for (place, name) in self.learned.iter().zip(names.iter().skip(self.rules.len())) {
            place.get_or_init(|| name.clone());
        }
        Ok(())
    }

    /// Names known so far.
    pub(crate) fn known(&self) -> impl Iterator<Item = &str> {
        (0..self.places()).map_while(|index| self.rule(index))
    }
}

impl Names {
    /// `engines` in the order of [`Engine::index`].
    pub fn new<'a>(listeners: Vec<String>, engines: impl IntoIterator<Item = &'a Engine>) -> Self {
        Self {
            listeners,
            policies: engines.into_iter().map(|engine| PolicyNames::of(engine, 0)).collect(),
            spare: Box::default(),
            fixed_rules: RuleTable::default().names().to_vec(),
        }
    }

    /// Makes room for what [`Names::learn`] adds: [`PolicyNames::LEARNED_MAX`] rules of each policy, and
    /// [`Names::SPARE_POLICIES_MAX`] policies.
    #[must_use]
    pub fn with_room(mut self) -> Self {
        for policy in &mut self.policies {
            policy.learned = (0..PolicyNames::LEARNED_MAX).map(|_| OnceLock::new()).collect();
        }
        self.spare = (0..Self::SPARE_POLICIES_MAX).map(|_| OnceLock::new()).collect();
        self
    }

    /// Policies that may be learned.
    pub const SPARE_POLICIES_MAX: usize = 16;

    /// Adds the rules of an engine that takes the place of another one ([`Engine::compile_over`]), or of a policy that is new.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn learn(&self, engine: &Engine) -> Result<(), NoRoom> {
        let names = engine.rules().names();
        if let Some(policy) = self.policies.get(engine.index()) {
            return policy.learn(names);
        }
        let spare = self.spare.get(engine.index() - self.policies.len()).ok_or(NoRoom::Policies)?;
        let learned = self.spare_places().checked_sub(names.len()).ok_or(NoRoom::Rules)?;
        spare.get_or_init(|| PolicyNames::of(engine, learned)).learn(names)
    }

    /// Places for counters of each policy, those included that are still to be learned.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        let spare = self.spare.iter().map(|_| self.spare_places());
        self.policies.iter().map(PolicyNames::places).chain(spare)
    }

    fn spare_places(&self) -> usize {
        self.fixed_rules.len() + PolicyNames::LEARNED_MAX
    }

    /// Policies known so far, by [`Engine::index`].
    pub(crate) fn known_policies(&self) -> impl Iterator<Item = &PolicyNames> {
        self.policies.iter().chain(self.spare.iter().map_while(OnceLock::get))
    }

    fn policy_names(&self, policy: u16) -> Option<&PolicyNames> {
        let policy = usize::from(policy);
        let spare = || self.spare.get(policy - self.policies.len())?.get();
        self.policies.get(policy).or_else(spare)
    }

    pub fn listener(&self, listener: u16) -> &str {
        self.listeners.get(usize::from(listener)).map_or(UNKNOWN, String::as_str)
    }

    pub fn policy(&self, policy: u16) -> &str {
        self.policy_names(policy).map_or(UNKNOWN, |policy| &policy.name)
    }

    pub fn rule(&self, policy: Option<u16>, rule: RuleId) -> &str {
        let name = match policy.and_then(|policy| self.policy_names(policy)) {
            Some(policy) => policy.rule(rule.index()),
            None => self.fixed_rules.get(rule.index()).map(String::as_str),
        };
        name.unwrap_or(UNKNOWN)
    }
}

/// Another configuration would bring more than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    #[error(
        "more than {} rules beside those that the policy had at start; restart to begin with them",
        PolicyNames::LEARNED_MAX
    )]
    Rules,
    #[error(
        "more than {} policies beside those of the start; restart to begin with them",
        Names::SPARE_POLICIES_MAX
    )]
    Policies,
}
