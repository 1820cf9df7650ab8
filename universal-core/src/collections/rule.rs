//! Who may do what to a document.
//!
//! A collection that nobody has configured has the owner rule: a signed-in caller may create and
//! owns what it creates; only the owner and administrators read, change and delete it.

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::UserId,
};

/// Refuses a caller without credentials.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller.
pub fn signed_in(caller: &Caller) -> Result<()> {
    if caller.is_anonymous() {
        return Err(Error::new(
            ErrorKind::Unauthenticated,
            "sign-in-required",
            "sign in first: this collection is not open to anonymous callers",
        ));
    }
    Ok(())
}

/// Whether a document of `owner` exists for `caller`.
#[must_use]
pub fn may_read(caller: &Caller, owner: Option<&UserId>) -> bool {
    caller.bypasses_rules() || (owner.is_some() && owner == caller.user_id())
}

/// What the rule demands of the rows of a list or a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All rows.
    All,
    /// Rows of this owner.
    OwnedBy(UserId),
}

/// Which rows of a collection `caller` may see.
///
/// # Errors
/// `Unauthenticated` for an anonymous caller.
pub fn visible(caller: &Caller) -> Result<Visible> {
    signed_in(caller)?;
    match caller.user_id() {
        Some(user) if !caller.bypasses_rules() => Ok(Visible::OwnedBy(user.clone())),
        _ => Ok(Visible::All),
    }
}
