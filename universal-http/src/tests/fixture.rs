//! A backend, its API, and requests to it.

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tower::ServiceExt as _;
use universal_core::{Caller, TenantId, auth::Registration, backend::Backend};

use crate::{api::Api, body::ResponseBody, limits::Limits};

pub(super) struct Fixture {
    pub(super) backend: Backend,
    pub(super) api: Api,
    pub(super) token: String,
    pub(super) session: Caller,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code.
    pub(super) fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["instance"], self.header("x-request-id"));
        (self.status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    }
}

impl Fixture {
    pub(super) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(super) async fn with(limits: Limits) -> Self {
        let backend = Backend::in_memory().await.unwrap();
        let api = Api::builder()
            .auth(backend.auth().clone())
            .collections(backend.collections().clone())
            .realtime(backend.realtime().clone())
            .limits(limits)
            .build()
            .unwrap();
        let nobody = Caller::anonymous(TenantId::default_tenant());
        let signed_in = backend
            .auth()
            .register(&nobody, Registration::new("ada@example.org", "correct horse battery"))
            .await
            .unwrap();
        let token = signed_in.access_token.expose_secret().to_owned();
        let session = backend.auth().authenticate(None, &token).await.unwrap();
        Self { backend, api, token, session }
    }

    pub(super) fn request(&self, method: &str, path: &str) -> http::request::Builder {
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.token))
    }

    pub(super) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let response = self.api.all().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        Answer { status: head.status, headers: head.headers, text }
    }

    /// The answer's body unread, for streams.
    pub(super) async fn open(&self, request: Request<Full<Bytes>>) -> http::Response<ResponseBody> {
        self.api.all().oneshot(request).await.unwrap()
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).body(Full::default()).unwrap()).await
    }

    pub(super) async fn json(&self, method: &str, path: &str, body: &str) -> Answer {
        let request = self.request(method, path).header("content-type", "application/json");
        self.send(request.body(Full::from(body.to_owned())).unwrap()).await
    }
}
