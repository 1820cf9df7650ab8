//! The `tower` service: generic over the request's body, which it erases once at the door.

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
use tower_service::Service;

use crate::{
    body::{BoxError, RequestBody, ResponseBody},
    middleware::stack,
    route::Router,
    state::State,
};

/// A set of routes as a service. Cloning it is cheap; it is always ready and never fails.
#[derive(Clone)]
pub struct ApiService {
    state: Arc<State>,
    router: Arc<Router>,
}

impl ApiService {
    pub(crate) fn new(state: Arc<State>, router: Arc<Router>) -> Self {
        Self { state, router }
    }
}

impl<B> Service<Request<B>> for ApiService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (state, router) = (Arc::clone(&self.state), Arc::clone(&self.router));
        let idle = state.limits.body_idle;
        let request = request.map(|body| RequestBody::new(body, idle));
        Box::pin(async move { Ok(stack::run(state, router, request).await) })
    }
}

impl fmt::Debug for ApiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiService").finish_non_exhaustive()
    }
}
