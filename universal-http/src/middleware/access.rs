//! Whether a caller may call a route at all.

use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
};

use crate::route::Access;

/// # Errors
/// `Unauthenticated` for nobody, `Forbidden` for somebody without the role.
pub(crate) fn check(access: Access, caller: &Caller) -> Result<()> {
    match access {
        Access::Open | Access::Anyone => Ok(()),
        Access::SignedIn | Access::Admin if caller.is_anonymous() => Err(unauthenticated()),
        Access::SignedIn => Ok(()),
        Access::Admin if caller.is_admin() => Ok(()),
        Access::Admin => Err(forbidden()),
    }
}

/// The error for a caller without credentials.
pub(crate) fn unauthenticated() -> Error {
    Error::new(ErrorKind::Unauthenticated, "unauthenticated", "sign in and send `Authorization: Bearer <access token>`")
}

/// The error for a caller without the role.
pub(crate) fn forbidden() -> Error {
    Error::new(ErrorKind::Forbidden, "forbidden", "this caller's roles do not allow this")
}
