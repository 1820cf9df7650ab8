//! Who may join a channel, send to it and be seen in it.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    caller::Caller,
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
    expr::{CallerFacts, Environment, Expression, Scope},
    id::{ChannelName, TenantId},
};

/// How many patterns of a tenant may have rules.
pub const MAX_PATTERNS: usize = 200;

/// Which channels rules are for: one (`lobby`), or all whose names begin alike (`room:*`, `*`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelPattern(Arc<str>);

impl ChannelPattern {
    /// Checks `text` and makes it a pattern.
    ///
    /// # Errors
    /// `Invalid` `invalid-channel-pattern`.
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        let is_valid = match text.strip_suffix('*') {
            // What a name may begin with, a name is with one more letter.
            Some(prefix) => text.len() <= 128 && ChannelName::new(format!("{prefix}x")).is_ok(),
            None => ChannelName::new(text).is_ok(),
        };
        if is_valid {
            return Ok(Self(text.into()));
        }
        let message = "a pattern is a channel's name, or the beginning of one with a '*' behind it: 'lobby', 'room:*'";
        Err(Error::invalid("invalid-channel-pattern", message).with_field("pattern"))
    }

    /// Takes a pattern that this crate itself stored after checking it.
    pub(crate) fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl FromStr for ChannelPattern {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::new(text)
    }
}

/// What an administrator decides about the channels of a pattern, in the one form that Rust, the table and the route
/// share.
///
/// ```
/// use universal_core::realtime::ChannelSettings;
/// let settings: ChannelSettings = serde_json::from_str(r#"{
///     "rules": {"join": "channel.segments[1] in caller.claims.rooms", "send": "has(caller.id)"}
/// }"#)?;
/// assert!(settings.rules.presence.is_none());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChannelSettings {
    /// Who may do what.
    pub rules: ChannelRuleTexts,
}

/// The rules of channels, each an expression over `channel` (`channel.name`, `channel.segments`), `caller` and `now`. A
/// rule that is not given allows nobody but administrators and the program, whom no rule binds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ChannelRuleTexts {
    /// Who may join: hear the messages and see the members.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    /// Who may send messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// Who may be seen as a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<String>,
}

impl ChannelSettings {
    /// Nobody may do anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With this rule for joining.
    #[must_use]
    pub fn with_join(mut self, rule: impl Into<String>) -> Self {
        self.rules.join = Some(rule.into());
        self
    }

    /// With this rule for sending.
    #[must_use]
    pub fn with_send(mut self, rule: impl Into<String>) -> Self {
        self.rules.send = Some(rule.into());
        self
    }

    /// With this rule for being seen.
    #[must_use]
    pub fn with_presence(mut self, rule: impl Into<String>) -> Self {
        self.rules.presence = Some(rule.into());
        self
    }

    /// Whether its rules are expressions.
    ///
    /// # Errors
    /// `Invalid` `invalid-rule` with the place and the position.
    pub fn check(&self) -> Result<()> {
        Compiled::of(self).map(|_| ())
    }
}

/// The settings of a pattern as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelInfo {
    /// The pattern.
    pub pattern: ChannelPattern,
    /// Its settings.
    pub settings: ChannelSettings,
    /// Their version, another after every change; a later setting may demand it.
    pub version: i64,
}

impl ChannelInfo {
    /// For implementations.
    #[must_use]
    pub fn new(pattern: ChannelPattern, settings: ChannelSettings, version: i64) -> Self {
        Self { pattern, settings, version }
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChannelAction {
    /// To join.
    Join,
    /// To send a message.
    Send,
    /// To be seen.
    Presence,
}

/// All rules of a tenant, ready to decide.
#[derive(Clone, Debug, Default)]
pub struct ChannelRuleSet {
    exact: HashMap<Arc<str>, Compiled>,
    /// Longest first.
    beginnings: Vec<(Arc<str>, Compiled)>,
}

#[derive(Clone, Debug)]
struct Compiled {
    join: Option<Expression>,
    send: Option<Expression>,
    presence: Option<Expression>,
}

impl Compiled {
    fn of(settings: &ChannelSettings) -> Result<Self> {
        let read = |name: &str, text: &Option<String>| {
            text.as_deref()
                .map(|text| Expression::parse(text, Scope::ChannelRule))
                .transpose()
                .map_err(|error| error.with_field(format!("/rules/{name}")))
        };
        let rules = &settings.rules;
        Ok(Self {
            join: read("join", &rules.join)?,
            send: read("send", &rules.send)?,
            presence: read("presence", &rules.presence)?,
        })
    }
}

impl ChannelRuleSet {
    /// Makes the rules of these patterns ready.
    ///
    /// # Errors
    /// `Invalid` `invalid-rule`.
    pub fn compile(infos: &[ChannelInfo]) -> Result<Self> {
        let mut set = Self::default();
        for info in infos {
            let compiled = Compiled::of(&info.settings)?;
            match info.pattern.as_str().strip_suffix('*') {
                Some(beginning) => set.beginnings.push((beginning.into(), compiled)),
                None => drop(set.exact.insert(Arc::clone(&info.pattern.0), compiled)),
            }
        }
        set.beginnings.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        Ok(set)
    }

    /// Whether `caller` may do this in `channel`: by the rules of the channel's own pattern, else of the longest
    /// beginning of its name, else only where the channel is the caller's own.
    ///
    /// # Errors
    /// `Unauthenticated` `sign-in-required` for an anonymous caller and `Forbidden` `channel-forbidden` for another.
    pub fn allow(&self, caller: &Caller, channel: &ChannelName, action: ChannelAction, now: Timestamp) -> Result<()> {
        if caller.bypasses_rules() {
            return Ok(());
        }
        let fitting = || self.beginnings.iter().find(|(beginning, _)| channel.as_str().starts_with(&**beginning));
        let allows = match self.exact.get(channel.as_str()).or_else(|| fitting().map(|(_, compiled)| compiled)) {
            None => is_own(caller, channel),
            Some(compiled) => {
                let rule = match action {
                    ChannelAction::Join => &compiled.join,
                    ChannelAction::Send => &compiled.send,
                    ChannelAction::Presence => &compiled.presence,
                };
                rule.as_ref().is_some_and(|rule| matches(rule, caller, channel, now))
            }
        };
        if allows { Ok(()) } else { Err(refused(caller)) }
    }
}

fn matches(rule: &Expression, caller: &Caller, channel: &ChannelName, now: Timestamp) -> bool {
    let segments: Vec<Value> = channel.as_str().split([':', '/']).map(Value::from).collect();
    let mut facts = Map::new();
    facts.insert("name".to_owned(), channel.as_str().into());
    facts.insert("segments".to_owned(), segments.into());
    let environment =
        Environment::without_document("").with_channel(&facts).with_caller(CallerFacts::of(caller)).with_now(now);
    rule.matches(&environment)
}

/// `user:<id>` and what is below it.
fn is_own(caller: &Caller, channel: &ChannelName) -> bool {
    let Some(user) = caller.user_id() else { return false };
    let rest = channel.as_str().strip_prefix("user:").and_then(|rest| rest.strip_prefix(user.as_str()));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn refused(caller: &Caller) -> Error {
    if caller.is_anonymous() {
        let message = "sign in first: this channel is not open to anonymous callers";
        return Error::new(ErrorKind::Unauthenticated, "sign-in-required", message);
    }
    Error::new(ErrorKind::Forbidden, "channel-forbidden", "the rules of this channel do not allow it")
}

/// Port: where the rules of channels are kept.
#[async_trait]
pub trait ChannelRules: Send + Sync + fmt::Debug {
    /// The rules of a tenant, as they were at most a second ago.
    ///
    /// # Errors
    /// `NotFound` for a tenant that does not exist; `Unavailable` and `Busy` from the database.
    async fn rules(&self, tenant: &TenantId) -> Result<Arc<ChannelRuleSet>>;

    /// What is stored, in the order of the patterns.
    ///
    /// # Errors
    /// `Unavailable` and `Busy` from the database.
    async fn stored(&self, tenant: &TenantId) -> Result<Vec<ChannelInfo>>;

    /// Stores checked settings of a pattern; `expected` is the version that they must have, 0 for none yet.
    ///
    /// # Errors
    /// `PreconditionFailed` `stale-settings`; `Conflict` `too-many-channel-rules`; `NotFound` for a tenant that does not
    /// exist; `Unavailable` and `Busy` from the database.
    async fn store(
        &self,
        tenant: &TenantId,
        pattern: &ChannelPattern,
        settings: ChannelSettings,
        expected: Option<i64>,
        now: Timestamp,
    ) -> Result<ChannelInfo>;

    /// Forgets the settings of a pattern.
    ///
    /// # Errors
    /// `NotFound` `channel-rules-not-found`; `PreconditionFailed` `stale-settings`; `Unavailable` and `Busy` from the
    /// database.
    async fn forget(&self, tenant: &TenantId, pattern: &ChannelPattern, expected: Option<i64>) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    fn info(pattern: &str, settings: ChannelSettings) -> ChannelInfo {
        ChannelInfo::new(pattern.parse().unwrap(), settings, 1)
    }

    #[test]
    fn patterns_are_checked() {
        for good in ["lobby", "*", "room:*", "ro*", "a/b:*"] {
            assert!(ChannelPattern::new(good).is_ok(), "{good}");
        }
        for bad in ["", "**", "*a", "a::*", "a*b", "é*", &format!("{}*", "x".repeat(128))] {
            assert_eq!(ChannelPattern::new(bad).unwrap_err().code(), "invalid-channel-pattern", "{bad}");
        }
    }

    #[test]
    fn the_best_pattern_decides() {
        let tenant = TenantId::default_tenant();
        let id = UserId::generate();
        let user = Caller::user(tenant.clone(), id.clone());
        let set = ChannelRuleSet::compile(&[
            info("room:*", ChannelSettings::new().with_join("true")),
            info("room:staff/*", ChannelSettings::new().with_join("'staff' in caller.roles")),
            info("room:staff/lunch", ChannelSettings::new().with_join("has(caller.id)")),
            info("dm:*", ChannelSettings::new().with_join("caller.id in channel.segments")),
        ])
        .unwrap();
        let now = Timestamp::from_micros(0);
        let may = |caller: &Caller, name: &str, action| {
            set.allow(caller, &name.parse().unwrap(), action, now).map_err(|error| error.code())
        };
        use ChannelAction::{Join, Send};
        assert_eq!(may(&user, "room:1", Join), Ok(()));
        assert_eq!(may(&user, "room:1", Send), Err("channel-forbidden"));
        assert_eq!(may(&user, "room:staff/1", Join), Err("channel-forbidden"));
        assert_eq!(may(&user.clone().with_roles(["staff"]), "room:staff/1", Join), Ok(()));
        assert_eq!(may(&user, "room:staff/lunch", Join), Ok(()));
        assert_eq!(may(&Caller::anonymous(tenant.clone()), "room:1", Join), Ok(()));
        assert_eq!(may(&Caller::anonymous(tenant.clone()), "room:staff/lunch", Join), Err("sign-in-required"));
        assert_eq!(may(&user, &format!("dm:a:{id}"), Join), Ok(()));
        assert_eq!(may(&user, "dm:a:b", Join), Err("channel-forbidden"));
        assert_eq!(may(&user, "elsewhere", Join), Err("channel-forbidden"));
        for own in [format!("user:{id}"), format!("user:{id}/inbox")] {
            assert_eq!(may(&user, &own, Join), Ok(()));
            assert_eq!(may(&user, &own, Send), Ok(()));
            assert_eq!(may(&Caller::user(tenant.clone(), UserId::generate()), &own, Join), Err("channel-forbidden"));
        }
        assert_eq!(may(&user, &format!("user:{id}0"), Join), Err("channel-forbidden"));
        assert_eq!(may(&Caller::system(tenant), "elsewhere", Send), Ok(()));
        assert_eq!(ChannelSettings::new().with_send("doc.x == 1").check().unwrap_err().field(), Some("/rules/send"));
    }
}
