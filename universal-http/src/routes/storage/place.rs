//! Which object a request is about.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use universal_core::{
    error::Result,
    storage::{BucketName, Object, ObjectKey},
};

use crate::context::Context;

/// What stands in a path as it is (RFC 3986 §2.3), and the `/` between a key's segments.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The bucket of the path.
///
/// # Errors
/// `Invalid` if it is none.
pub(super) fn bucket(cx: &Context) -> Result<BucketName> {
    BucketName::new(cx.param("bucket")?)
}

/// The bucket and the key of the path.
///
/// # Errors
/// `Invalid` if they are none.
pub(super) fn object(cx: &Context) -> Result<(BucketName, ObjectKey)> {
    Ok((bucket(cx)?, ObjectKey::new(cx.param("key")?)?))
}

/// The public link to an object.
pub(super) fn link(cx: &Context, object: &Object) -> String {
    cx.link(&format!("/storage/{}/{}", object.bucket, utf8_percent_encode(object.key.as_str(), KEPT)))
}
