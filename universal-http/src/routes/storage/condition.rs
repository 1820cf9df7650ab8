//! Preconditions of a write, in the words of the service.

use universal_core::{error::Result, storage::Match};

use crate::{context::Context, extract::conditional::Tags};

/// `If-Match`; a weak tag matches nothing.
///
/// # Errors
/// `Invalid` if it is malformed.
pub(super) fn if_match(cx: &Context) -> Result<Option<Match>> {
    Ok(cx.if_match()?.map(|tags| match tags {
        Tags::Any => Match::Any,
        Tags::List(tags) => Match::Revisions(Tags::strong(tags)),
    }))
}

/// `If-None-Match`.
///
/// # Errors
/// `Invalid` if it is malformed.
pub(super) fn if_none_match(cx: &Context) -> Result<Option<Match>> {
    Ok(cx.if_none_match()?.map(|tags| match tags {
        Tags::Any => Match::Any,
        Tags::List(tags) => Match::Revisions(tags.into_iter().map(|tag| tag.value).collect()),
    }))
}
