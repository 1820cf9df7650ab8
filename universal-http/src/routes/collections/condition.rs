//! From `If-Match` and `If-None-Match` to what must be true of the stored document.

use universal_core::{
    collections::Precondition,
    error::{Error, Result},
};

use crate::{context::Context, extract::conditional::Tags};

/// The precondition of a write.
///
/// # Errors
/// `Invalid` for a malformed header, for both at once, and for an `If-None-Match` with tags: a write can only ask that
/// there be no document (`*`).
pub(crate) fn of_write(cx: &Context) -> Result<Precondition> {
    match (cx.if_match()?, cx.if_none_match()?) {
        (None, None) => Ok(Precondition::None),
        (Some(Tags::Any), None) => Ok(Precondition::Exists),
        (Some(Tags::List(tags)), None) => Ok(Precondition::Revision(Tags::strong(tags))),
        (None, Some(Tags::Any)) => Ok(Precondition::Absent),
        (None, Some(Tags::List(_))) => {
            Err(Error::invalid("invalid-condition", "a write takes `If-None-Match: *` or `If-Match` with revisions")
                .with_field("If-None-Match"))
        }
        (Some(_), Some(_)) => {
            Err(Error::invalid("invalid-condition", "send If-Match or If-None-Match, not both").with_field("If-Match"))
        }
    }
}

/// Refuses conditions on a route where they cannot mean anything; `because` says why.
///
/// # Errors
/// `Invalid` if there is one: passing over it would make a guarded write an unguarded one.
pub(crate) fn none(cx: &Context, because: &str) -> Result<()> {
    if cx.if_match()?.is_some() || cx.if_none_match()?.is_some() {
        return Err(Error::invalid("invalid-condition", because).with_field("If-Match"));
    }
    Ok(())
}
