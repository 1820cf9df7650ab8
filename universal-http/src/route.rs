//! Routes are data: one table per subject, read by the dispatcher, the metrics and (later) the OpenAPI document.
//!
//! # Adding a subject
//!
//! 1. `routes/<subject>/mod.rs` declares its files and holds the table:
//!
//! ```text
//! mod session;            // one file per group of handlers
//! mod wire;               // the bodies: serde structs with `deny_unknown_fields`
//!
//! use crate::route::{Access, Route};
//! use universal_core::auth::Auth;
//!
//! pub(crate) const ROUTES: &[Route<dyn Auth>] = &[
//!     // `Access::Open`: the Authorization header is not looked at (a client may refresh with its expired token set).
//!     Route::post("/auth/login", "auth.login", |auth, cx| Box::pin(session::login(auth, cx))).access(Access::Open),
//!     Route::get("/auth/me", "auth.me", |auth, cx| Box::pin(session::me(auth, cx))).access(Access::SignedIn),
//!     Route::delete("/auth/sessions/{id}", "auth.sessions.revoke", |auth, cx| Box::pin(session::revoke(auth, cx))),
//! ];
//! ```
//!
//! 2. A handler extracts, calls one method of one trait and wraps:
//!
//! ```text
//! pub(crate) async fn revoke(auth: Arc<dyn Auth>, cx: Context) -> Result<Response> {
//!     cx.no_query()?;                              // or: let mut query = cx.query()?; query.take("x"); query.finish()?;
//!     auth.revoke_session(cx.caller(), cx.param("id")?).await?;
//!     Ok(response::no_content())
//! }
//! pub(crate) async fn login(auth: Arc<dyn Auth>, mut cx: Context) -> Result<Response> {
//!     let body: wire::Login = cx.json().await?;    // media type, 1 MiB, unknown fields, pointers: done there
//!     let session = auth.login(cx.caller(), body.into()).await?;
//!     response::json(StatusCode::OK, &wire::Session::from(session))
//! }
//! ```
//!
//! Everything a handler needs is on [`Context`]: `caller()`, `param()` (decoded), `query()`, `headers()`, `json()`,
//! `bytes(limit)`, `take_body()` (a stream of `Bytes`; mark its route [`Route::streaming`]), `if_match()`,
//! `if_none_match()`, `link("/storage/…")`. Answers are made in `response.rs` and `ResponseBody::{full, stream}`.
//! Handlers return `universal_core::error::Error`; `error.rs` has the only status table.
//!
//! 3. `api.rs`: the builder lends the service (`ApiBuilder::auth`), and `build` mounts the table with one line.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use http::{HeaderValue, Method};
use universal_core::error::{Error, Result};

use crate::{context::Context, extract::path::decode, response::Response};

/// A handler at work.
pub(crate) type Handling = Pin<Box<dyn Future<Output = Result<Response>> + Send>>;

/// Who may call a route, decided before its handler runs. What a caller may do with the things behind it is the
/// service's matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody, and the credentials of the request are not even looked at: sign-in, health, signed links.
    Open,
    /// Anybody; credentials, if there are any, must be valid. The default.
    Anyone,
    /// 401 for a caller without credentials.
    SignedIn,
    /// 401 for a caller without credentials, 403 for one who is no administrator of its tenant.
    Admin,
}

/// How long a route may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Time {
    /// At most [`crate::limits::Limits::handling`].
    Bounded,
    /// As long as its body keeps moving.
    Streaming,
}

/// One row of a subject's table. `S` is the service trait that its handler calls.
pub(crate) struct Route<S: ?Sized> {
    method: Method,
    path: &'static str,
    name: &'static str,
    access: Access,
    time: Time,
    head: bool,
    handler: fn(Arc<S>, Context) -> Handling,
}

impl<S: ?Sized> Route<S> {
    /// A route: the method, the path (`/db/{collection}/{*rest}`), a name (`subject.verb`) and the handler.
    pub(crate) const fn new(
        method: Method,
        path: &'static str,
        name: &'static str,
        handler: fn(Arc<S>, Context) -> Handling,
    ) -> Self {
        Self { method, path, name, access: Access::Anyone, time: Time::Bounded, head: false, handler }
    }

    pub(crate) const fn get(path: &'static str, name: &'static str, handler: fn(Arc<S>, Context) -> Handling) -> Self {
        Self::new(Method::GET, path, name, handler)
    }

    pub(crate) const fn post(path: &'static str, name: &'static str, handler: fn(Arc<S>, Context) -> Handling) -> Self {
        Self::new(Method::POST, path, name, handler)
    }

    pub(crate) const fn put(path: &'static str, name: &'static str, handler: fn(Arc<S>, Context) -> Handling) -> Self {
        Self::new(Method::PUT, path, name, handler)
    }

    pub(crate) const fn patch(
        path: &'static str,
        name: &'static str,
        handler: fn(Arc<S>, Context) -> Handling,
    ) -> Self {
        Self::new(Method::PATCH, path, name, handler)
    }

    pub(crate) const fn delete(
        path: &'static str,
        name: &'static str,
        handler: fn(Arc<S>, Context) -> Handling,
    ) -> Self {
        Self::new(Method::DELETE, path, name, handler)
    }

    /// Who may call it.
    pub(crate) const fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// It reads or writes a stream: no limit on the whole, only on silence.
    pub(crate) const fn streaming(mut self) -> Self {
        self.time = Time::Streaming;
        self
    }

    /// A `GET` that also answers `HEAD`: the handler runs as it is and its body is left out.
    pub(crate) const fn with_head(mut self) -> Self {
        self.head = true;
        self
    }
}

/// A route bound to its service.
pub(crate) struct Endpoint {
    method: Method,
    pub(crate) name: &'static str,
    pub(crate) access: Access,
    pub(crate) time: Time,
    head: bool,
    call: Box<dyn Fn(Context) -> Handling + Send + Sync>,
}

impl Endpoint {
    /// Runs the handler.
    pub(crate) fn call(&self, cx: Context) -> Handling {
        (self.call)(cx)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("method", &self.method).field("name", &self.name).finish_non_exhaustive()
    }
}

/// All endpoints of one path.
#[derive(Debug)]
struct Entry {
    template: &'static str,
    names: Vec<&'static str>,
    endpoints: Vec<Arc<Endpoint>>,
}

/// The dispatcher: from method and path to an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Router {
    paths: matchit::Router<usize>,
    entries: Vec<Entry>,
}

/// What the dispatcher says.
#[derive(Debug)]
pub(crate) enum Found {
    /// Call this.
    Endpoint { endpoint: Arc<Endpoint>, template: &'static str, params: Vec<(&'static str, String)> },
    /// The path is known; these methods are.
    Methods { template: &'static str, allow: HeaderValue },
    /// No such path.
    Nothing,
    /// The path is known and one of its segments is not decodable.
    Malformed { template: &'static str, error: Error },
}

impl Router {
    /// Adds a subject's table, bound to its service.
    ///
    /// # Errors
    /// `Internal` if two tables claim one path.
    pub(crate) fn mount<S: ?Sized + Send + Sync + 'static>(
        &mut self,
        table: &[Route<S>],
        service: &Arc<S>,
    ) -> Result<()> {
        for route in table {
            let at = match self.entries.iter().position(|entry| entry.template == route.path) {
                Some(at) => at,
                None => {
                    let at = self.entries.len();
                    self.paths.insert(route.path, at).map_err(|error| {
                        Error::internal(format!("the route {} cannot be mounted: {error}", route.path))
                    })?;
                    self.entries.push(Entry { template: route.path, names: names(route.path), endpoints: Vec::new() });
                    at
                }
            };
            let (handler, service) = (route.handler, Arc::clone(service));
            let endpoint = Endpoint {
                method: route.method.clone(),
                name: route.name,
                access: route.access,
                time: route.time,
                head: route.head,
                call: Box::new(move |cx| handler(Arc::clone(&service), cx)),
            };
            if let Some(entry) = self.entries.get_mut(at) {
                if entry.endpoints.iter().any(|known| known.method == endpoint.method) {
                    return Err(Error::internal(format!("{} {} is in two tables", route.method, route.path)));
                }
                entry.endpoints.push(Arc::new(endpoint));
            }
        }
        Ok(())
    }

    /// Finds the endpoint for a method and a path below the mount point.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.paths.at(path) else { return Found::Nothing };
        let Some(entry) = self.entries.get(*matched.value) else { return Found::Nothing };
        let template = entry.template;
        let exact = entry.endpoints.iter().find(|endpoint| endpoint.method == *method);
        let by_head = || entry.endpoints.iter().find(|endpoint| *method == Method::HEAD && endpoint.head);
        let Some(endpoint) = exact.or_else(by_head) else {
            return Found::Methods { template, allow: entry.allow() };
        };
        let mut params = Vec::with_capacity(entry.names.len());
        for (name, (_, raw)) in entry.names.iter().zip(matched.params.iter()) {
            match decode(raw, name, "invalid-path") {
                Ok(value) => params.push((*name, value.into_owned())),
                Err(error) => return Found::Malformed { template, error },
            }
        }
        Found::Endpoint { endpoint: Arc::clone(endpoint), template, params }
    }
}

impl Entry {
    fn allow(&self) -> HeaderValue {
        let mut methods: Vec<&str> = self.endpoints.iter().map(|endpoint| endpoint.method.as_str()).collect();
        if self.endpoints.iter().any(|endpoint| endpoint.head) && !methods.contains(&"HEAD") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        methods.sort_unstable();
        HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
    }
}

/// The names of a template's segments, in order.
fn names(template: &'static str) -> Vec<&'static str> {
    template
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| name.trim_start_matches('*'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::no_content;

    const TABLE: &[Route<()>] = &[
        Route::get("/db/{collection}/{id}", "get", |_, _| Box::pin(async { Ok(no_content()) })).with_head(),
        Route::put("/db/{collection}/{id}", "put", |_, _| Box::pin(async { Ok(no_content()) })),
        Route::get("/db/{collection}/_export", "export", |_, _| Box::pin(async { Ok(no_content()) })),
        Route::get("/storage/{bucket}/{*key}", "file", |_, _| Box::pin(async { Ok(no_content()) })),
    ];

    fn router() -> Router {
        let mut router = Router::default();
        router.mount(TABLE, &Arc::new(())).unwrap();
        router
    }

    fn found(method: &Method, path: &str) -> String {
        match router().find(method, path) {
            Found::Endpoint { endpoint, params, .. } => format!("{} {params:?}", endpoint.name),
            Found::Methods { allow, .. } => allow.to_str().unwrap().to_owned(),
            Found::Nothing => "404".into(),
            Found::Malformed { error, .. } => error.code().into(),
        }
    }

    #[test]
    fn dispatch() {
        assert_eq!(found(&Method::GET, "/db/todos/a%2Fb"), r#"get [("collection", "todos"), ("id", "a/b")]"#);
        assert_eq!(found(&Method::HEAD, "/db/todos/a"), r#"get [("collection", "todos"), ("id", "a")]"#);
        assert_eq!(found(&Method::GET, "/db/todos/_export"), r#"export [("collection", "todos")]"#);
        assert_eq!(found(&Method::GET, "/storage/b/x/y%20z"), r#"file [("bucket", "b"), ("key", "x/y z")]"#);
        assert_eq!(found(&Method::POST, "/db/todos/a"), "GET, HEAD, OPTIONS, PUT");
        assert_eq!(found(&Method::GET, "/db/todos/%zz"), "invalid-path");
        for unknown in ["/", "", "/db", "/db/", "/db/todos/a/", "//db/todos/a", "/DB/todos/a"] {
            assert_eq!(found(&Method::GET, unknown), "404", "{unknown}");
        }
    }

    #[test]
    fn a_path_has_one_owner() {
        let mut router = router();
        assert!(router.mount(TABLE, &Arc::new(())).is_err());
    }
}
