//! Serving an object's bytes, to a caller or to whoever holds a link: ranges and conditions.

use std::sync::Arc;

use http::{HeaderMap, Method, header};
use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    storage::{BucketName, ByteRange, Content, GetOptions, Grant, Object, ObjectKey, Storage},
};

use super::{answer, condition};
use crate::{context::Context, extract::conditional::Tags, response::Response};

/// Who asks for what.
struct Asked<'a> {
    storage: &'a dyn Storage,
    caller: &'a Caller,
    source: &'a Source,
}

/// What is served, and by which right.
#[derive(Debug)]
pub(super) enum Source {
    /// This object, to the request's caller.
    Named(BucketName, ObjectKey),
    /// What a link allows to read.
    Granted(Grant),
}

impl Asked<'_> {
    async fn head(&self) -> Result<Object> {
        match self.source {
            Source::Named(bucket, key) => self.storage.head(self.caller, bucket, key).await,
            Source::Granted(grant) => self.storage.head_presigned(grant).await,
        }
    }

    async fn get(&self, options: GetOptions) -> Result<Content> {
        match self.source {
            Source::Named(bucket, key) => self.storage.get(self.caller, bucket, key, options).await,
            Source::Granted(grant) => self.storage.get_presigned(grant, options).await,
        }
    }
}

/// `GET` and `HEAD`. Takes the context, whose unread body could not be borrowed across an await.
pub(super) async fn serve(storage: Arc<dyn Storage>, mut cx: Context, source: Source) -> Result<Response> {
    drop(cx.take_body()?);
    let (wanted, known) = (condition::if_match(&cx)?, cx.if_none_match()?);
    let is_head = *cx.method() == Method::HEAD;
    let (headers, id) = (cx.headers().clone(), Arc::clone(cx.request_id()));
    let caller = cx.caller().clone();
    drop(cx);
    let asked = Asked { storage: storage.as_ref(), caller: &caller, source: &source };
    if is_head || wanted.is_some() || known.is_some() {
        let object = asked.head().await?;
        if wanted.is_some_and(|wanted| !wanted.matches(Some(&object.revision))) {
            return Err(Error::new(
                ErrorKind::PreconditionFailed,
                "stale-revision",
                "the object has another revision than the request expected",
            ));
        }
        if known.is_some_and(|tags: Tags| tags.matches(&object.revision)) {
            return answer::not_modified(&object);
        }
        // A range is something of GET only (RFC 9110 §14.2).
        if is_head {
            return answer::head(&object);
        }
    }
    let Some(range) = range(&headers) else {
        return answer::content(asked.get(GetOptions::default()).await?);
    };
    let mut options = GetOptions::default();
    if let Some(revision) = if_range(&headers) {
        options = options.with_if_range(revision);
    }
    let Some(range) = range else {
        // Not a range at all: refused, unless the client has another version and would get the whole anyway.
        let object = asked.head().await?;
        if options.if_range.as_ref().is_none_or(|revision| *revision == object.revision) {
            return answer::not_satisfiable(&id, &object);
        }
        return answer::content(asked.get(GetOptions::default()).await?);
    };
    match asked.get(options.with_range(range)).await {
        Ok(content) => answer::content(content),
        Err(error) if error.code() == ByteRange::not_satisfiable().code() => {
            answer::not_satisfiable(&id, &asked.head().await?)
        }
        Err(error) => Err(error),
    }
}

/// The `Range` header, if there is one: a range, or nothing if it is none.
fn range(headers: &HeaderMap) -> Option<Option<ByteRange>> {
    let mut values = headers.get_all(header::RANGE).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some(None);
    }
    Some(first.to_str().ok().and_then(|text| text.parse().ok()))
}

/// The revision of the `If-Range` header. A weak tag or a date can never be known to be right (RFC 9110
/// §13.1.5): the empty revision, which nothing has.
fn if_range(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::IF_RANGE)?;
    let tag = value.to_str().ok().and_then(|text| text.trim().strip_prefix('"')?.strip_suffix('"'));
    Some(tag.unwrap_or_default().to_owned())
}
