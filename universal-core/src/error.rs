//! The one error of this crate: a kind to act on, a stable code, a message that says what to do.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

/// What a caller can do about an [`Error`]. `universal-http` maps each kind to one status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It does not exist, or this caller may not know that it does.
    NotFound,
    /// It exists already, or the state of the thing forbids the operation.
    Conflict,
    /// The caller's precondition (`If-Match`, `If-None-Match`) does not hold.
    PreconditionFailed,
    /// The input is malformed; [`Error::field`] or [`Error::position`] says where.
    Invalid,
    /// The input is well formed, and what it asks for is not allowed by what is already decided: a schema, a key
    /// that was used for something else.
    Unprocessable,
    /// No credentials, or credentials that are not valid.
    Unauthenticated,
    /// The caller is known and may not do this.
    Forbidden,
    /// Too many requests; try again after [`Error::retry_after`].
    RateLimited,
    /// The input is larger than the limit.
    TooLarge,
    /// The operation took longer than its limit and had no effect.
    Timeout,
    /// A bounded queue is full or a lock is held; nothing was done, try again.
    Busy,
    /// A part that is needed (a database, a store) cannot be reached; nothing was done.
    Unavailable,
    /// The connection was lost while committing: the write may or may not have happened.
    OutcomeUnknown,
    /// A defect or an unexpected answer from a part below; the source is in the log.
    Internal,
}

/// A failed operation.
///
/// The message and the code are safe to show to a client; the source never leaves the process.
pub struct Error {
    inner: Box<Inner>,
}

struct Inner {
    kind: ErrorKind,
    code: &'static str,
    message: String,
    field: Option<String>,
    position: Option<usize>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` with a stable, kebab-case `code` and a message for people.
    #[must_use]
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            inner: Box::new(Inner {
                kind,
                code,
                message: message.into(),
                field: None,
                position: None,
                retry_after: None,
                source: None,
            }),
        }
    }

    /// Shorthand for [`ErrorKind::Invalid`].
    #[must_use]
    pub fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, code, message)
    }

    /// Shorthand for [`ErrorKind::NotFound`].
    #[must_use]
    pub fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, code, message)
    }

    /// Shorthand for [`ErrorKind::Internal`] with the cause, which only the log shows.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(ErrorKind::Internal, "internal", "an internal error; the log of the server has the details")
            .with_source(source)
    }

    /// Names the input that is wrong: a JSON pointer (`/title`) or a parameter (`limit`).
    #[must_use]
    pub fn with_field(mut self, field: impl Into<String>) -> Self {
        self.inner.field = Some(field.into());
        self
    }

    /// Says at which byte of the text (a body, a filter) the input is wrong, from 0.
    #[must_use]
    pub fn with_position(mut self, position: usize) -> Self {
        self.inner.position = Some(position);
        self
    }

    /// Says when it is worth trying again.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.inner.retry_after = Some(after);
        self
    }

    /// Keeps the cause for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.inner.source = Some(source.into());
        self
    }

    /// The same error for another who asked the same; its source is that of the first, for the log.
    #[must_use]
    pub(crate) fn shared(first: &Arc<Self>) -> Self {
        let inner = &first.inner;
        Self {
            inner: Box::new(Inner {
                kind: inner.kind,
                code: inner.code,
                message: inner.message.clone(),
                field: inner.field.clone(),
                position: inner.position,
                retry_after: inner.retry_after,
                source: inner.source.is_some().then(|| Arc::clone(first).into()),
            }),
        }
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The stable machine code, for example `stale-revision`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.inner.code
    }

    /// The sentence for people; it holds no SQL, path or secret.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The input that is wrong, if it has a name.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.inner.field.as_deref()
    }

    /// The byte of the text at which it is wrong, if it is a text.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        self.inner.position
    }

    /// When it is worth trying again, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// Whether the same call can succeed later without a change by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.inner.kind,
            ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Busy | ErrorKind::Unavailable
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Error");
        shown.field("kind", &self.inner.kind).field("code", &self.inner.code).field("message", &self.inner.message);
        if let Some(field) = &self.inner.field {
            shown.field("field", field);
        }
        if let Some(position) = &self.inner.position {
            shown.field("position", position);
        }
        if let Some(source) = &self.inner.source {
            shown.field("source", source);
        }
        shown.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.inner.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
