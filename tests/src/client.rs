//! A plain HTTP client for loopback that hides no answer.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, json};

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.text()))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The header `name`, or nothing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `code` of a problem.
    #[must_use]
    pub fn code(&self) -> String {
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// This answer, whose status is `status`.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// A client of one server, with or without credentials.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    refresh_token: Option<String>,
    user_id: Option<String>,
}

impl Client {
    /// Of the server (or mount point) at `base`, without credentials.
    #[must_use]
    pub fn new(base: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().expect("a client");
        Self { http, base: base.trim_end_matches('/').to_owned(), token: None, refresh_token: None, user_id: None }
    }

    /// Where it asks.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The access token.
    #[must_use]
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a client with credentials")
    }

    /// The refresh token.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        self.refresh_token.as_deref().expect("a client with credentials")
    }

    /// The id of the user it is signed in as.
    #[must_use]
    pub fn user_id(&self) -> &str {
        self.user_id.as_deref().expect("a client with credentials")
    }

    /// The same client with this access token instead.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// A new account, signed in.
    pub async fn register(&self, email: &str, password: &str) -> Self {
        let answer = self.post("/auth/register", json!({ "email": email, "password": password })).await;
        self.signed_in(&answer.expect(201))
    }

    /// An account with an address nobody has, signed in.
    pub async fn someone(&self) -> Self {
        let email = format!("{}@example.test", uuid::Uuid::new_v4().simple());
        self.register(&email, "correct horse battery staple").await
    }

    /// Signed in with a password.
    pub async fn login(&self, email: &str, password: &str) -> Self {
        let answer = self.post("/auth/login", json!({ "email": email, "password": password })).await;
        self.signed_in(&answer.expect(200))
    }

    /// The same client with the credentials of an answer of register, login or refresh.
    #[must_use]
    pub fn signed_in(&self, answer: &Answer) -> Self {
        let body = answer.json();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let token = text(body.get("access_token"));
        assert!(token.is_some(), "no access_token in {body}");
        Self {
            token,
            refresh_token: text(body.get("refresh_token")),
            user_id: text(body.pointer("/user/id")),
            ..self.clone()
        }
    }

    /// A request with the credentials, to add to before it is sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    ///
    /// The server could not be reached, or went away before the end of its answer.
    pub async fn try_send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// Sends a request to a server that is there.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        self.try_send(request).await.unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// `GET`.
    ///
    /// # Errors
    ///
    /// The server could not be reached.
    pub async fn get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        self.try_send(self.request(Method::GET, path)).await
    }

    /// `GET` from a server that is there.
    pub async fn read(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `POST` with JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    /// `PUT` with JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    /// `PATCH` with JSON.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, path).json(&body)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// A new document, as the server answers it.
    pub async fn create(&self, collection: &str, body: Value) -> Value {
        self.post(&format!("/db/{collection}"), body).await.expect(201).json()
    }
}
