//! The two bodies: a request's, erased once at the door, and an answer's, one concrete type.

use std::{
    any::Any,
    error::Error as StdError,
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use tokio::time::{Instant, Sleep};
use universal_core::error::{Error, ErrorKind, Result};

/// Any error, as bodies of hosts bring them.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// The body of a request, whatever type the host's server gave it.
///
/// It fails when the client stays silent for longer than [`crate::limits::Limits::body_idle`].
pub struct RequestBody {
    /// Nothing for a request without a body: most have none, and then there is nothing to box.
    inner: Option<UnsyncBoxBody<Bytes, BoxError>>,
    idle: Duration,
    silence: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) fn new<B>(body: B, idle: Duration) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // A body that has this type already (the listener's within the service) is not boxed once more.
        let mut body = Some(body);
        if let Some(ours) = (&mut body as &mut dyn Any).downcast_mut::<Option<Self>>().and_then(Option::take) {
            return Self { idle: ours.idle.min(idle), ..ours };
        }
        let inner = body.filter(|body| !body.is_end_stream()).map(|body| body.map_err(Into::into).boxed_unsync());
        Self { inner, idle, silence: None }
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge` beyond `limit`, `Invalid` if the client broke off, `Timeout` if it stayed silent.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes> {
        let too_large =
            || Error::new(ErrorKind::TooLarge, "body-too-large", format!("the body may have at most {limit} bytes"));
        // A declared length is refused before a byte is read.
        if self.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
            return Err(too_large());
        }
        let mut first = Bytes::new();
        let mut rest = BytesMut::new();
        while let Some(data) = self.next_data().await? {
            if first.len() + rest.len() + data.len() > limit {
                return Err(too_large());
            }
            // One frame, the usual case, is taken as it is.
            if first.is_empty() && rest.is_empty() {
                first = data;
                continue;
            }
            if !first.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&data);
        }
        Ok(if rest.is_empty() { first } else { rest.freeze() })
    }

    /// The next piece of the body, or nothing at its end.
    ///
    /// # Errors
    /// `Invalid` if the client broke off, `Timeout` if it stayed silent.
    pub async fn next_data(&mut self) -> Result<Option<Bytes>> {
        while let Some(frame) = self.frame().await {
            let frame = frame.map_err(BodyError::into_error)?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The length the client declared, if it did.
    #[must_use]
    pub fn declared_length(&self) -> Option<u64> {
        self.size_hint().exact()
    }

    /// The body as a stream of its pieces.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        futures_util::stream::unfold(Some(self), |body| async move {
            let mut body = body?;
            match body.next_data().await {
                Ok(Some(data)) => Some((Ok(data), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::broken)));
        }
        let idle = this.idle;
        let silence = this.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        match silence.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(BodyError::idle()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}

/// Why a body ended too early.
#[derive(Debug)]
pub struct BodyError {
    idle: bool,
    source: Option<BoxError>,
}

impl BodyError {
    pub(crate) fn broken(source: impl Into<BoxError>) -> Self {
        // A body of this crate within another (the listener's within the service's) keeps its reason.
        match source.into().downcast::<Self>() {
            Ok(own) => *own,
            Err(source) => Self { idle: false, source: Some(source) },
        }
    }

    fn idle() -> Self {
        Self { idle: true, source: None }
    }

    /// As an error of a handler: it was the client that stopped.
    pub(crate) fn into_error(self) -> Error {
        if self.idle {
            return Error::new(
                ErrorKind::Timeout,
                "body-idle",
                "the body stopped arriving; send it again without a pause",
            );
        }
        let error = Error::invalid("body-broken", "the body ended before it was complete");
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.idle { "the body stayed silent for too long" } else { "the body broke off" })
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

/// The body of an answer.
pub struct ResponseBody(Kind);

enum Kind {
    Full(Bytes),
    Stream(Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>),
}

impl ResponseBody {
    /// No body.
    #[must_use]
    pub fn empty() -> Self {
        Self(Kind::Full(Bytes::new()))
    }

    /// These bytes.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(bytes.into()))
    }

    /// Another body, for example that of a host's own answer.
    #[must_use]
    pub fn wrap<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self(Kind::Stream(Box::pin(body.map_err(BodyError::broken))))
    }

    /// The pieces of a stream, sent as they come. An error breaks the connection off, so that the client sees that
    /// something is missing.
    #[must_use]
    pub fn stream<S, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        use futures_util::StreamExt as _;
        let frames = stream.map(|piece| piece.map(Frame::data).map_err(BodyError::broken));
        Self(Kind::Stream(Box::pin(http_body_util::StreamBody::new(frames))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Kind::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Full(bytes) => bytes.is_empty(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX)),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

impl Default for ResponseBody {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}
