//! What a collection may be going through.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a collection is going through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CollectionState {
    /// Nothing in particular.
    #[default]
    Active,
    /// Its settings changed, and the documents from before are still being looked through for what they refer to and when
    /// they end. Documents that they may refer to cannot be deleted until that is done.
    Building,
    /// Its documents are being deleted, and then it is. It takes no writes.
    Dropping,
    /// Its documents move to another name. Neither takes writes.
    Renaming,
}

impl CollectionState {
    /// Its name in tables and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Building => "building",
            Self::Dropping => "dropping",
            Self::Renaming => "renaming",
        }
    }

    /// A state that a table holds.
    pub(crate) fn stored(text: &str) -> Result<Self> {
        if text == "reserved" {
            // The new name, before the first document moves.
            return Ok(Self::Renaming);
        }
        [Self::Active, Self::Building, Self::Dropping, Self::Renaming]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal(format!("`{text}` is no state of a collection")))
    }
}

/// How far something has come that a collection goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is done.
    Done,
    /// It goes on in the background; calling again goes on with it too.
    Continues,
}
