//! A request as a handler sees it: matched, decoded, and with its caller known.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{HeaderMap, Method, request::Parts};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use universal_core::{
    caller::Caller,
    error::{Error, Result},
};

use crate::{
    body::RequestBody,
    extract::{
        conditional::{self, Tags},
        json,
        query::Query,
    },
    state::State,
};

/// A request on its way through a handler.
pub(crate) struct Context {
    head: Parts,
    /// Never locked: the lock lets a `&Context` cross an await although a body cannot be shared.
    body: Mutex<Option<RequestBody>>,
    params: Vec<(&'static str, String)>,
    caller: Caller,
    token: Option<SecretString>,
    request_id: Arc<str>,
    state: Arc<State>,
}

impl Context {
    pub(crate) fn new(
        head: Parts,
        body: RequestBody,
        params: Vec<(&'static str, String)>,
        request_id: Arc<str>,
        state: Arc<State>,
    ) -> Self {
        let caller = Caller::anonymous(state.default_tenant.clone()).with_request_id(Arc::clone(&request_id));
        Self { head, body: Mutex::new(Some(body)), params, caller, token: None, request_id, state }
    }

    /// What `authenticate` found out. `token` is kept for connections that outlive it.
    pub(crate) fn set_caller(&mut self, caller: Caller, token: Option<SecretString>) {
        self.caller = caller.with_request_id(Arc::clone(&self.request_id));
        self.token = token;
    }

    /// Who asks.
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The access token the caller came with; a caller that the host vouched for has none.
    pub(crate) fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
    }

    /// The id of the request.
    pub(crate) fn request_id(&self) -> &Arc<str> {
        &self.request_id
    }

    /// What all requests of one `Api` share.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The method; a `HEAD` that is served by a `GET` route is still `HEAD` here.
    pub(crate) fn method(&self) -> &Method {
        &self.head.method
    }

    /// The headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The head, for what has no method here (extensions of the host, the upgrade).
    pub(crate) fn head_mut(&mut self) -> &mut Parts {
        &mut self.head
    }

    /// What the listener, or a layer of the host's, left with the request.
    #[cfg(feature = "serve")]
    pub(crate) fn extension<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.head.extensions.get()
    }

    /// The decoded path segment `name` of the route's path.
    ///
    /// # Errors
    /// `Internal` if the route's path has no such segment, which is a defect of its table.
    pub(crate) fn param(&self, name: &str) -> Result<&str> {
        self.params
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.as_str())
            .ok_or_else(|| Error::internal(format!("the route has no path segment {name}")))
    }

    /// The query string; take what the route knows, then `finish()`.
    ///
    /// # Errors
    /// `Invalid` for a broken escape or a repeated parameter.
    pub(crate) fn query(&self) -> Result<Query> {
        Query::parse(self.head.uri.query())
    }

    /// That there is no query string, for routes without parameters.
    ///
    /// # Errors
    /// `Invalid` naming the first parameter.
    pub(crate) fn no_query(&self) -> Result<()> {
        self.query()?.finish()
    }

    /// `If-Match`.
    ///
    /// # Errors
    /// `Invalid` if it is malformed.
    pub(crate) fn if_match(&self) -> Result<Option<Tags>> {
        conditional::if_match(self.headers())
    }

    /// `If-None-Match`.
    ///
    /// # Errors
    /// `Invalid` if it is malformed.
    pub(crate) fn if_none_match(&self) -> Result<Option<Tags>> {
        conditional::if_none_match(self.headers())
    }

    /// The body, to be read as it comes; once.
    ///
    /// # Errors
    /// `Internal` the second time.
    pub(crate) fn take_body(&mut self) -> Result<RequestBody> {
        let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
        body.take().ok_or_else(|| Error::internal("the body was taken twice"))
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `TooLarge`, `Invalid` or `Timeout` as the body fails.
    pub(crate) async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        self.take_body()?.collect(limit).await
    }

    /// The text of a JSON body, at most [`crate::limits::Limits::json_body`] bytes; not parsed yet.
    ///
    /// # Errors
    /// `Invalid` for another media type, and as [`Context::bytes`].
    pub(crate) async fn json_bytes(&mut self) -> Result<Bytes> {
        self.json_bytes_within(self.state.limits.json_body).await
    }

    /// The text of a JSON body, at most `limit` bytes; not parsed yet.
    ///
    /// # Errors
    /// As [`Context::json_bytes`].
    pub(crate) async fn json_bytes_within(&mut self, limit: usize) -> Result<Bytes> {
        json::require_media_type(self.headers())?;
        self.bytes(limit).await
    }

    /// A JSON body of a fixed shape. Give `T` `#[serde(deny_unknown_fields)]`.
    ///
    /// # Errors
    /// As [`Context::json_bytes`], and `Invalid` with the place if it is no `T`.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        json::parse(&self.json_bytes().await?)
    }

    /// The public link to `path` of this service (`/db/todos/1`, already escaped): below the configured public URL, else
    /// below the prefix. Never made from the request.
    pub(crate) fn link(&self, path: &str) -> String {
        self.state.link(path)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("method", &self.head.method)
            .field("request_id", &self.request_id)
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
