//! What surrounds every handler.

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::Full;
use tower::{Layer as _, ServiceExt as _, service_fn};
use universal_core::{Caller, Result, TenantId, UserId};

use super::fixture::Fixture;
use crate::{
    api::Api,
    body::RequestBody,
    lent::Authenticator,
    limits::Limits,
    middleware::{AuthLayer, CurrentUser, stack},
    response::no_content,
    route::{Access, Route, Router},
};

const TABLE: &[Route<()>] = &[
    Route::get("/panic", "test.panic", |_, _| Box::pin(async { panic!("a secret") })).access(Access::Open),
    Route::get("/slow", "test.slow", |_, _| Box::pin(std::future::pending())).access(Access::Open),
    Route::post("/slow", "test.write", |_, _| Box::pin(std::future::pending())).access(Access::Open),
    Route::get("/admin", "test.admin", |_, _| Box::pin(async { Ok(no_content()) })).access(Access::Admin),
    Route::get("/user", "test.user", |_, _| Box::pin(async { Ok(no_content()) })).access(Access::SignedIn),
];

impl Fixture {
    /// A table of the tests' own, within the same stack.
    async fn table(&self, method: &str, path: &str, token: Option<&str>) -> (u16, String) {
        let mut router = Router::default();
        router.mount(TABLE, &Arc::new(())).unwrap();
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = RequestBody::new(Full::<Bytes>::default(), Duration::from_secs(1));
        let response = stack::run(self.api.state(), Arc::new(router), request.body(body).unwrap()).await;
        let status = response.status().as_u16();
        let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let on = Fixture::new().await;
    assert_eq!(on.get("/nope").await.problem(), (404, "unknown-route".into()));
    let wrong = on.json("POST", "/db/todos/a", "{}").await;
    assert_eq!(wrong.problem(), (405, "method-not-allowed".into()));
    assert_eq!(wrong.header("allow"), "DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
    let options = on.send(on.request("OPTIONS", "/db/todos").body(Full::default()).unwrap()).await;
    assert_eq!((options.status.as_u16(), options.header("allow")), (204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST"));
    assert_eq!(on.get(&format!("/db/todos?filter={}", "a".repeat(9000))).await.problem().0, 414);
    assert_eq!(on.get("/nope").await.header("x-content-type-options"), "nosniff");
}

#[tokio::test]
async fn a_panic_is_one_request_s_error() {
    let on = Fixture::new().await;
    let (status, text) = on.table("GET", "/panic", None).await;
    assert_eq!(status, 500);
    assert!(!text.contains("secret") && text.contains("\"internal\""), "{text}");
    let metrics = on.get("/metrics").await.text;
    assert!(metrics.contains("universal_http_panics_total 1"), "{metrics}");
}

#[tokio::test]
async fn time_and_access() {
    let on = Fixture::with(Limits::default().with_handling(Duration::from_millis(20))).await;
    assert_eq!(on.table("GET", "/slow", None).await.0, 504);
    let (status, text) = on.table("POST", "/slow", None).await;
    assert_eq!((status, text.contains("outcome-unknown")), (503, true));
    assert_eq!(on.table("GET", "/panic", Some("bad")).await.0, 500, "open routes do not look at tokens");
    assert_eq!(on.table("GET", "/user", None).await.0, 401);
    assert_eq!(on.table("GET", "/user", Some("bad")).await.0, 401);
    assert_eq!(on.table("GET", "/user", Some(&on.token)).await.0, 204);
    assert_eq!(on.table("GET", "/admin", None).await.0, 401);
    assert_eq!(on.table("GET", "/admin", Some(&on.token)).await.0, 403);
}

#[tokio::test]
async fn operations_have_their_own_service() {
    let on = Fixture::new().await;
    assert_eq!(on.get("/healthz").await.status, 200);
    assert_eq!(on.get("/readyz").await.status, 200);
    on.get("/db/todos").await;
    let metrics = on.get("/metrics").await.text;
    assert!(metrics.contains(r#"route="/db/{collection}",status="200"} 1"#), "{metrics}");
    let request = || Request::get("/healthz").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(on.api.public().oneshot(request()).await.unwrap().status(), 404);
    assert_eq!(on.api.operations().oneshot(request()).await.unwrap().status(), 200);
    on.api.close();
    assert_eq!(on.get("/readyz").await.problem(), (503, "stopping".into()));
}

#[tokio::test]
async fn a_prefix_is_stripped_and_links_are_public() {
    let on = Fixture::new().await;
    let api = Api::builder()
        .auth(on.backend.auth().clone())
        .collections(on.backend.collections().clone())
        .prefix("/backend/")
        .public_url("https://example.org/backend/")
        .build()
        .unwrap();
    let request = on.request("POST", "/backend/db/todos").header("content-type", "application/json");
    let request = request.header("host", "evil.example").body(Full::<Bytes>::from(r#"{"id":"a"}"#)).unwrap();
    let response = api.all().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["location"], "https://example.org/backend/db/todos/a");
    for path in ["/db/todos", "/backendx/db/todos", "/backend"] {
        let request = on.request("GET", path).body(Full::<Bytes>::default()).unwrap();
        assert_eq!(api.all().oneshot(request).await.unwrap().status(), 404, "{path}");
    }
    for bad in ["backend", "//x", "/a b", "/%20"] {
        assert!(Api::builder().prefix(bad).build().is_err(), "{bad}");
    }
    for bad in ["example.org", "ftp://x", "https://a@b", "https://x?y", ""] {
        assert!(Api::builder().public_url(bad).build().is_err(), "{bad}");
    }
}

/// A host that knows its users by a header.
struct ByHeader;

#[async_trait]
impl Authenticator for ByHeader {
    async fn authenticate(&self, head: &Parts) -> Result<Option<Caller>> {
        let Some(name) = head.headers.get("x-user").and_then(|value| value.to_str().ok()) else { return Ok(None) };
        Ok(Some(Caller::user(TenantId::default_tenant(), UserId::new(name)?)))
    }
}

#[tokio::test]
async fn the_host_can_say_who_asks() {
    let on = Fixture::new().await;
    let api =
        Api::builder().collections(on.backend.collections().clone()).authenticator(Arc::new(ByHeader)).build().unwrap();
    let post = |user: &str| {
        let request = Request::post("/db/todos").header("content-type", "application/json").header("x-user", user);
        api.all().oneshot(request.body(Full::<Bytes>::from("{}")).unwrap())
    };
    assert_eq!(post("u-1").await.unwrap().status(), 201);
    assert_eq!(post("no/user").await.unwrap().status(), 400);
}

#[tokio::test]
async fn the_layer_guards_a_host_s_routes() {
    let on = Fixture::new().await;
    let host = service_fn(|request: Request<Full<Bytes>>| async move {
        let user = request.extensions().get::<CurrentUser>().and_then(|user| user.id().cloned());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(user.map_or("nobody".into(), |id| id.to_string()))))
    });
    let call = |layer: AuthLayer, token: Option<&str>| {
        let mut request = Request::get("/mine");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = layer.layer(host).oneshot(request.body(Full::<Bytes>::default()).unwrap());
        async move {
            let response = response.await.unwrap();
            let status = response.status().as_u16();
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        }
    };
    let user = on.session.user_id().unwrap().to_string();
    assert_eq!(call(on.api.auth_layer(), Some(&on.token)).await, (200, user));
    let (status, text) = call(on.api.auth_layer(), None).await;
    assert_eq!((status, text.contains("\"unauthenticated\"")), (401, true));
    assert_eq!(call(on.api.auth_layer(), Some("bad")).await.0, 401);
    assert_eq!(call(on.api.auth_layer().optional(), None).await, (200, "nobody".into()));
    assert_eq!(call(on.api.auth_layer().optional(), Some("bad")).await.0, 401);
    assert_eq!(call(on.api.auth_layer().require_role("admin"), Some(&on.token)).await.0, 403);
}
