//! Who may do what with which object: the one place that decides, for every driver.

use crate::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::UserId,
    storage::{object::Object, upload::Match},
};

/// What a put does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutDecision {
    /// A new object of this owner.
    Create(Option<UserId>),
    /// New bytes for the object that is there; its owner stays.
    Replace,
}

/// Refuses those of whom nothing is known.
///
/// # Errors
/// `Unauthenticated`.
pub fn require_identity(caller: &Caller) -> Result<()> {
    if caller.is_anonymous() {
        return Err(Error::new(
            ErrorKind::Unauthenticated,
            "sign-in-required",
            "sign in first: files are not open to anonymous callers",
        ));
    }
    Ok(())
}

/// What `caller` may read of what is there. What it may not read does not exist for it.
///
/// # Errors
/// `Unauthenticated` for the anonymous, `NotFound` (`object-not-found`).
pub fn decide_read<T: AsRef<Object>>(caller: &Caller, found: Option<T>) -> Result<T> {
    require_identity(caller)?;
    found
        .filter(|found| is_readable(caller, found.as_ref()))
        .ok_or_else(|| Error::not_found("object-not-found", "there is no such object; check the bucket and the key"))
}

/// What a put by `caller` does to what is there. To be called under the lock of the object's row.
///
/// # Errors
/// `Unauthenticated` for the anonymous; `NotFound` (`object-not-found`) if the key belongs to
/// somebody else; `PreconditionFailed` (`stale-revision`, `object-exists`).
pub fn decide_put(
    caller: &Caller,
    found: Option<&Object>,
    if_match: Option<&Match>,
    if_none_match: Option<&Match>,
) -> Result<PutDecision> {
    require_identity(caller)?;
    let found = match found {
        Some(found) => Some(decide_read(caller, Some(found))?),
        None => None,
    };
    check_match(found, if_match)?;
    if if_none_match.is_some_and(|unwanted| unwanted.matches(found.map(|object| object.revision.as_str()))) {
        return Err(Error::new(
            ErrorKind::PreconditionFailed,
            "object-exists",
            "the object exists; nothing was stored because the request asked for a new one",
        ));
    }
    Ok(match found {
        Some(_) => PutDecision::Replace,
        None => PutDecision::Create(caller.user_id().cloned()),
    })
}

/// Whether `caller` may delete what is there. To be called under the lock of the object's row.
///
/// # Errors
/// `Unauthenticated` for the anonymous; `NotFound` (`object-not-found`); `PreconditionFailed`
/// (`stale-revision`).
pub fn decide_delete<T: AsRef<Object>>(caller: &Caller, found: Option<T>, if_match: Option<&Match>) -> Result<T> {
    let found = decide_read(caller, found)?;
    check_match(Some(found.as_ref()), if_match)?;
    Ok(found)
}

fn check_match(found: Option<&Object>, if_match: Option<&Match>) -> Result<()> {
    if if_match.is_none_or(|wanted| wanted.matches(found.map(|object| object.revision.as_str()))) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::PreconditionFailed,
        "stale-revision",
        "the object has another revision than the request expected; read it again and repeat",
    ))
}

fn is_readable(caller: &Caller, object: &Object) -> bool {
    caller.bypasses_rules() || caller.user_id().is_some_and(|user| object.owner.as_ref() == Some(user))
}

impl AsRef<Object> for Object {
    fn as_ref(&self) -> &Object {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        id::TenantId,
        storage::{bucket::BucketName, key::ObjectKey},
    };

    fn object(owner: &str, revision: &str) -> Object {
        let mut object = Object::new(BucketName::new("files").unwrap(), ObjectKey::new("a").unwrap(), 1);
        object.owner = Some(UserId::new(owner).unwrap());
        object.revision = revision.to_owned();
        object
    }

    fn user(id: &str) -> Caller {
        Caller::user(TenantId::default_tenant(), UserId::new(id).unwrap())
    }

    #[test]
    fn the_owner_and_administrators_only() {
        let mine = object("ann", "1");
        assert!(decide_read(&user("ann"), Some(&mine)).is_ok());
        assert!(decide_read(&user("bob").with_roles(["admin"]), Some(&mine)).is_ok());
        assert!(decide_read(&Caller::system(TenantId::default_tenant()), Some(&mine)).is_ok());
        assert_eq!(decide_read(&user("bob"), Some(&mine)).unwrap_err().code(), "object-not-found");
        assert_eq!(decide_put(&user("bob"), Some(&mine), None, None).unwrap_err().code(), "object-not-found");
        assert_eq!(decide_delete(&user("bob"), Some(&mine), None).unwrap_err().code(), "object-not-found");
        let nobody = Caller::anonymous(TenantId::default_tenant());
        assert_eq!(decide_read(&nobody, None::<Object>).unwrap_err().kind(), ErrorKind::Unauthenticated);
        assert_eq!(decide_put(&nobody, None, None, None).unwrap_err().kind(), ErrorKind::Unauthenticated);
        let unowned = Object { owner: None, ..mine };
        assert!(decide_read(&user("ann"), Some(&unowned)).is_err());
    }

    #[test]
    fn preconditions() {
        let mine = object("ann", "1");
        let (one, two) = (Match::Revisions(vec!["1".into()]), Match::Revisions(vec!["2".into()]));
        let code = |found: Option<&Object>, if_match, if_none_match| {
            decide_put(&user("ann"), found, if_match, if_none_match).map_err(|error| error.code())
        };
        assert_eq!(code(Some(&mine), Some(&one), None), Ok(PutDecision::Replace));
        assert_eq!(code(Some(&mine), Some(&two), None), Err("stale-revision"));
        assert_eq!(code(None, Some(&Match::Any), None), Err("stale-revision"));
        assert_eq!(code(Some(&mine), None, Some(&Match::Any)), Err("object-exists"));
        assert!(matches!(code(None, None, Some(&Match::Any)), Ok(PutDecision::Create(Some(_)))));
        assert_eq!(decide_delete(&user("ann"), Some(&mine), Some(&two)).unwrap_err().code(), "stale-revision");
    }
}
