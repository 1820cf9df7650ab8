//! The order of things around a handler, and why each stands where it does.
//!
//! 1. **request id**: everything after it, errors too, can name the request.
//! 2. **match**: before the span and the metrics, whose labels are route templates; it runs no code of a subject.
//! 3. **span and metrics**: around all that can take time or fail.
//! 4. **panic net**: inside the span, so that the panic is logged with its request; outside the time limit.
//! 5. **time limit**: around authentication and handler; streams are exempt and watched by their body.
//! 6. **authenticate**: after the match, because open routes do not want it; a bad token is 401, never "nobody".
//! 7. **access**: the route's own demand.
//! 8. **handler**.
//! 9. **finish**: error to problem, security headers, the request id, on every answer alike.

use std::{future::Future, sync::Arc};

use http::{HeaderValue, Method, Request, StatusCode, header};
use tracing::Instrument as _;
use universal_core::error::{Error, ErrorKind, Result};

use crate::{
    body::{RequestBody, ResponseBody},
    context::Context,
    error,
    middleware::{access, authenticate::authenticate, catch_panic, origin, request_id, secure_headers},
    response::{self, Response},
    route::{Access, Endpoint, Found, Router, Time},
    state::State,
};

/// The longest path and query in bytes.
const MAX_URI: usize = 8 * 1024;

/// One request from the door and back.
pub(crate) async fn run(state: Arc<State>, router: Arc<Router>, request: Request<RequestBody>) -> Response {
    let id = request_id::of(request.headers());
    let method = request.method().clone();
    let (found, route) = find(&state, &router, &request);
    let span = tracing::info_span!(
        "http.request",
        http.method = %method,
        http.route = route,
        http.status = tracing::field::Empty,
        request.id = %id,
    );
    let in_flight = state.metrics.begin(&method, route);
    let head_only = method == Method::HEAD;
    let work = answer(Arc::clone(&state), found, request, Arc::clone(&id));
    let result = async {
        let result = catch_panic::around(&state.metrics, work).await;
        // Inside the span: the log line of a failure belongs to its request.
        result.unwrap_or_else(|error| error::into_response(&error, &id))
    };
    let mut response = result.instrument(span.clone()).await;
    if head_only {
        leave_body_out(&mut response);
    }
    secure_headers::add(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, value);
    }
    span.record("http.status", response.status().as_u16());
    in_flight.finish(response.status());
    response
}

/// The endpoint and the label of its route.
fn find(state: &State, router: &Router, request: &Request<RequestBody>) -> (Result<Found>, &'static str) {
    let length = request.uri().path_and_query().map_or(0, |text| text.as_str().len());
    if length > MAX_URI {
        let message = format!("path and query may have at most {MAX_URI} bytes");
        return (Err(Error::new(ErrorKind::TooLarge, "uri-too-long", message)), "(too long)");
    }
    let found = match request.uri().path().strip_prefix(state.prefix.as_str()) {
        Some(path) => router.find(request.method(), path),
        None => Found::Nothing,
    };
    let label = match &found {
        Found::Endpoint { template, .. } | Found::Methods { template, .. } | Found::Malformed { template, .. } => {
            template
        }
        Found::Nothing => "(none)",
    };
    (Ok(found), label)
}

/// The answer of the endpoint, or of the dispatcher where there is none.
async fn answer(
    state: Arc<State>,
    found: Result<Found>,
    request: Request<RequestBody>,
    id: Arc<str>,
) -> Result<Response> {
    match found? {
        Found::Endpoint { endpoint, params, .. } => {
            let (head, body) = request.into_parts();
            let cx = Context::new(head, body, params, id, Arc::clone(&state));
            within(&state, &endpoint, cx).await
        }
        Found::Methods { allow, .. } if *request.method() == Method::OPTIONS => {
            let mut response = response::no_content();
            response.headers_mut().insert(header::ALLOW, allow);
            Ok(response)
        }
        Found::Methods { allow, .. } => {
            let message = format!("this route has no {}; see Allow", known(request.method()));
            let error = Error::invalid("method-not-allowed", message);
            let mut response = error::into_response(&error, &id);
            response.headers_mut().insert(header::ALLOW, allow);
            Ok(response)
        }
        Found::Nothing => Err(Error::not_found("unknown-route", "there is no such route")),
        Found::Malformed { error, .. } => Err(error),
    }
}

/// Authentication, access and handler, within the route's time.
async fn within(state: &Arc<State>, endpoint: &Endpoint, cx: Context) -> Result<Response> {
    let reads = matches!(*cx.method(), Method::GET | Method::HEAD);
    let work = admitted(state, endpoint, cx);
    match endpoint.time {
        Time::Streaming => work.await,
        Time::Bounded => match tokio::time::timeout(state.limits.handling, work).await {
            Ok(result) => result,
            Err(_) if reads => Err(Error::new(ErrorKind::Timeout, "handling-timeout", "this took too long; try again")),
            Err(_) => Err(Error::new(
                ErrorKind::OutcomeUnknown,
                "outcome-unknown",
                "this took too long and may or may not have happened; with an Idempotency-Key, send it again, else read first",
            )),
        },
    }
}

async fn admitted(state: &Arc<State>, endpoint: &Endpoint, mut cx: Context) -> Result<Response> {
    if endpoint.access != Access::Open {
        let (caller, token) = authenticate(state, cx.head_mut()).await?;
        access::check(endpoint.access, &caller)?;
        cx.set_caller(caller, token);
        if !cx.method().is_safe() {
            origin::check(&cx)?;
        }
    }
    endpoint.call(cx).await
}

/// The same head, with the length the body has, and no body.
fn leave_body_out(response: &mut Response) {
    use http_body::Body as _;
    let body = std::mem::take(response.body_mut());
    let length = body.size_hint().exact();
    let has_none = response.status() == StatusCode::NO_CONTENT || response.status() == StatusCode::NOT_MODIFIED;
    if let Some(length) = length.filter(|_| !has_none)
        && !response.headers().contains_key(header::CONTENT_LENGTH)
    {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = ResponseBody::empty();
}

/// A method's name for a message: invented ones are not repeated.
fn known(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => method.as_str(),
        _ => "such method",
    }
}

/// Compiles only if the stack's future may move between threads.
#[expect(dead_code, reason = "a check at compile time")]
fn is_send(
    state: Arc<State>,
    router: Arc<Router>,
    request: Request<RequestBody>,
) -> impl Future<Output = Response> + Send {
    run(state, router, request)
}
