//! Where an expression stands, and the names it may use there.

use crate::error::Error;

/// Where an expression stands, which decides the names it may use.
///
/// | scope | `doc` | `meta` | `input` | `after` | `caller` | `now` | bare names |
/// |---|---|---|---|---|---|---|---|
/// | `Filter` | yes | yes | | | yes | yes | fields of the document |
/// | `ListRule` | yes | yes | | | yes | yes | |
/// | `CreateRule` | | yes | yes | yes | yes | yes | |
/// | `UpdateRule` | yes | yes | yes | yes | yes | yes | |
/// | `DeleteRule` | yes | yes | | | yes | yes | |
/// | `Trigger` | yes | yes | | yes | | yes | |
/// | `ChannelRule` | | | | | yes | yes | |
///
/// Rules of channels have a root of their own, `channel`; elsewhere that is a name like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// A filter of a list or of a subscription: bare names are fields of the document.
    Filter,
    /// The rules `list` and `get`: `doc` is the stored document.
    ListRule,
    /// The rule `create`: `after` is the document as it would be stored, `meta.owner` the owner it would have.
    CreateRule,
    /// The rule `update`: `doc` is the stored document, `after` the one it would become.
    UpdateRule,
    /// The rule `delete`: `doc` is the stored document.
    DeleteRule,
    /// The condition of a trigger: `doc` is the document before the change, `after` the one after it.
    Trigger,
    /// A rule of a channel: `channel.name` is its name, `channel.segments` what stands between `:` and `/` in it.
    ChannelRule,
}

/// The first name of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Root {
    /// `doc`, and in filters a bare name.
    Doc,
    /// `meta`: owner, revision and moments of the document.
    Meta,
    /// `input`: the body as it was sent.
    Input,
    /// `after`: the document as it would be stored.
    After,
    /// `caller`: who asks.
    Caller,
    /// `now`: the present moment.
    Now,
    /// `channel`: the channel that a rule decides about.
    Channel,
}

impl Root {
    /// The root of a name.
    pub(super) fn of(name: &str, scope: Scope) -> Option<Self> {
        Some(match name {
            "doc" => Self::Doc,
            "meta" => Self::Meta,
            "input" => Self::Input,
            "after" => Self::After,
            "caller" => Self::Caller,
            "now" => Self::Now,
            "channel" if scope == Scope::ChannelRule => Self::Channel,
            _ => return None,
        })
    }
}

impl Scope {
    /// The code of its errors.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Filter => "invalid-filter",
            Self::ListRule | Self::CreateRule | Self::UpdateRule | Self::DeleteRule | Self::ChannelRule => {
                "invalid-rule"
            }
            Self::Trigger => "invalid-trigger",
        }
    }

    /// Whether a root has a meaning there.
    #[must_use]
    pub fn has(self, root: Root) -> bool {
        match root {
            Root::Now => true,
            Root::Channel => self == Self::ChannelRule,
            Root::Meta => self != Self::ChannelRule,
            Root::Doc => !matches!(self, Self::CreateRule | Self::ChannelRule),
            Root::Caller => self != Self::Trigger,
            Root::Input => matches!(self, Self::CreateRule | Self::UpdateRule),
            Root::After => matches!(self, Self::CreateRule | Self::UpdateRule | Self::Trigger),
        }
    }

    /// Why a root has no meaning there.
    pub(super) fn lacks(self, root: &str) -> String {
        match (self, root) {
            (Self::CreateRule, _) => {
                "expected input, after, meta, caller or now: before a creation there is no 'doc'; \
                                      after is the document as it would be stored"
                    .to_owned()
            }
            (Self::Filter | Self::ListRule | Self::DeleteRule, _) => {
                format!("expected doc, meta, caller or now: '{root}' has a meaning in rules for writes only")
            }
            (Self::ChannelRule, _) => "expected channel, caller or now: a channel has no documents".to_owned(),
            (Self::UpdateRule, _) => "expected doc, input, after, meta, caller or now".to_owned(),
            (Self::Trigger, _) => {
                format!("expected doc, after, meta or now: a trigger sees the change, and no '{root}'")
            }
        }
    }

    /// An error of this scope.
    pub(crate) fn invalid(self, position: usize, message: impl Into<String>) -> Error {
        self.told(Error::invalid(self.code(), message).with_position(position))
    }

    /// With the name of the parameter, which is known for filters only.
    pub(super) fn told(self, error: Error) -> Error {
        if self == Self::Filter { error.with_field("filter") } else { error }
    }
}
