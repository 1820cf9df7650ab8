//! The guard for a host's own routes: our accounts, its handlers.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use universal_core::{
    caller::Caller,
    error::Result,
    id::{TenantId, UserId},
};

use crate::{
    body::{BoxError, ResponseBody},
    error,
    middleware::{access, authenticate::authenticate, request_id, secure_headers},
    state::State,
};

/// Who asks, left in the extensions of a request that passed an [`AuthLayer`].
///
/// In axum: `Extension(user): Extension<CurrentUser>`. In plain hyper: `request.extensions().get::<CurrentUser>()`.
#[derive(Clone, Debug)]
pub struct CurrentUser(Caller);

impl CurrentUser {
    /// The caller, to pass to the services: the same rules hold for it as over HTTP.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.0
    }

    /// The user; nobody behind [`AuthLayer::optional`] when the request had no credentials.
    #[must_use]
    pub fn id(&self) -> Option<&UserId> {
        self.0.user_id()
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        self.0.tenant()
    }
}

/// A `tower` layer that lets only our signed-in users pass to the routes behind it.
///
/// It verifies the bearer token (or asks the [`crate::Authenticator`] of the `Api`), leaves a [`CurrentUser`] in the
/// request's extensions, and answers everybody else 401 or 403 with a problem of the same form as the API's.
#[derive(Clone)]
pub struct AuthLayer {
    state: Arc<State>,
    demand: Demand,
}

#[derive(Clone, Debug)]
enum Demand {
    Anyone,
    SignedIn,
    Role(Arc<str>),
}

impl AuthLayer {
    pub(crate) fn new(state: Arc<State>) -> Self {
        Self { state, demand: Demand::SignedIn }
    }

    /// Lets callers without credentials pass as anonymous; bad credentials are refused all the same.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.demand = Demand::Anyone;
        self
    }

    /// Lets only callers with `role` pass; others get 403.
    #[must_use]
    pub fn require_role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.demand = Demand::Role(role.into());
        self
    }
}

impl fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer").field("demand", &self.demand).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> AuthService<S> {
        AuthService { inner, layer: self.clone() }
    }
}

/// A host's service behind an [`AuthLayer`].
#[derive(Clone, Debug)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // The service that was asked whether it is ready is the one to call; the clone waits for its own turn.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let id = request_id::of(&head.headers);
            match layer.admit(&head).await {
                Ok(caller) => {
                    head.extensions.insert(CurrentUser(caller.with_request_id(id)));
                    let response = inner.call(Request::from_parts(head, body)).await?;
                    Ok(response.map(ResponseBody::wrap))
                }
                Err(error) => {
                    let mut response = error::into_response(&error, &id);
                    secure_headers::add(response.headers_mut());
                    Ok(response)
                }
            }
        })
    }
}

impl AuthLayer {
    async fn admit(&self, head: &http::request::Parts) -> Result<Caller> {
        let (caller, _) = authenticate(&self.state, head).await?;
        match &self.demand {
            Demand::Anyone => Ok(caller),
            Demand::SignedIn | Demand::Role(_) if caller.is_anonymous() => Err(access::unauthenticated()),
            Demand::SignedIn => Ok(caller),
            Demand::Role(role) if caller.has_role(role) => Ok(caller),
            Demand::Role(_) => Err(access::forbidden()),
        }
    }
}
