//! Whether a page of another origin stands behind a request.

use http::{Uri, header};
use universal_core::error::{Error, ErrorKind, Result};

use crate::context::Context;

/// A browser sends the host's cookies with what any page asks for, so where they made the caller, a handshake and a
/// write must come from the host's own page. A token in a header no foreign page can have.
///
/// # Errors
/// `Forbidden` (`foreign-origin`).
pub(crate) fn check(cx: &Context) -> Result<()> {
    if cx.caller().is_anonymous() || cx.token().is_some() {
        return Ok(());
    }
    let Some(origin) = cx.headers().get(header::ORIGIN) else { return Ok(()) };
    let origin: Option<Uri> = origin.to_str().ok().and_then(|text| text.parse().ok());
    let page = origin.as_ref().and_then(Uri::authority).map(|authority| authority.as_str());
    let configured = cx.state().public_url.as_deref().and_then(|url| url.parse::<Uri>().ok());
    let own = match &configured {
        Some(url) => url.authority().map(|authority| authority.as_str()),
        None => cx.headers().get(header::HOST).and_then(|host| host.to_str().ok()),
    };
    match (page, own) {
        (Some(page), Some(own)) if page.eq_ignore_ascii_case(own) => Ok(()),
        _ => Err(Error::new(
            ErrorKind::Forbidden,
            "foreign-origin",
            "a page of another origin may not do this with these cookies",
        )),
    }
}
