//! Bad input as data.

use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use universal_tests::client::{Answer, Client};

/// What the cases are made in: a user with one document, and somebody else.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) anonymous: Client,
    pub(super) user: Client,
    pub(super) other: Client,
    /// The id of the user's one document in `todos`.
    pub(super) document: String,
    /// A cursor of the user's list of `todos`.
    pub(super) cursor: String,
}

impl Scene {
    pub(super) async fn new(anonymous: Client) -> Self {
        let user = anonymous.someone().await;
        let other = anonymous.someone().await;
        let document = user.create("todos", json!({ "title": "one", "n": i64::MAX })).await;
        user.create("todos", json!({ "title": "two" })).await;
        let page = user.read("/db/todos?limit=1").await.expect(200).json();
        let cursor = page["next_cursor"].as_str().expect("a second page").to_owned();
        Self { anonymous, user, other, document: document["id"].as_str().expect("an id").to_owned(), cursor }
    }

    /// Everything that the cases could have changed.
    pub(super) async fn stored(&self) -> Vec<Value> {
        let mut stored = Vec::new();
        for collection in ["todos", "bad"] {
            for client in [&self.user, &self.other] {
                stored.push(client.read(&format!("/db/{collection}?limit=500")).await.expect(200).json());
            }
        }
        stored
    }
}

/// One bad request and what it must be answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) status: u16,
    pub(super) code: &'static str,
    pub(super) place: Place,
    pub(super) request: fn(&Scene) -> RequestBuilder,
}

/// Whether the answer says where the input is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// There is no one place.
    None,
    /// A byte of the text.
    Position,
    /// A JSON pointer into the body.
    Pointer,
    /// A query parameter, path segment or header.
    Parameter,
}

impl Place {
    fn found(self, problem: &Value) -> bool {
        let place = &problem["errors"][0];
        match self {
            Self::None => true,
            Self::Position => place["position"].is_u64(),
            Self::Pointer => place["pointer"].is_string(),
            Self::Parameter => place["parameter"].is_string(),
        }
    }
}

/// A problem as it must be; what is wrong with it otherwise.
pub(super) fn faults((status, code): (u16, &str), place: Place, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    let text = answer.text();
    if answer.status != status {
        faults.push(format!("status {} instead of {}", answer.status, status));
    }
    if answer.header("content-type") != "application/problem+json" {
        faults.push(format!("content type `{}`", answer.header("content-type")));
    }
    let Ok(problem) = serde_json::from_slice::<Value>(&answer.body) else {
        faults.push(format!("not JSON: {text}"));
        return faults;
    };
    if problem["code"] != code {
        faults.push(format!("code {} instead of {}", problem["code"], code));
    }
    if problem["status"] != status {
        faults.push(format!("the body says status {}", problem["status"]));
    }
    if !place.found(&problem) {
        faults.push(format!("no {place:?} in {}", problem["errors"]));
    }
    if problem["detail"].as_str().unwrap_or_default().is_empty()
        || problem["instance"].as_str().unwrap_or_default().is_empty()
    {
        faults.push("no detail or no instance".to_owned());
    }
    for inside in ["SELECT", "INSERT", "universal_", "sqlx", "sea_orm", "panicked", ".rs:", "stack"] {
        if text.contains(inside) {
            faults.push(format!("shows our insides (`{inside}`): {text}"));
        }
    }
    faults
}

/// What must be the same on both databases.
pub(super) fn outcome(answer: &Answer) -> Value {
    let mut problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if let Some(members) = problem.as_object_mut() {
        members.remove("instance");
    }
    json!({ "status": answer.status, "allow": answer.header("allow"), "problem": problem })
}

/// `POST` of a text that says it is JSON.
pub(super) fn post(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    with(client, Method::POST, path, body)
}

/// `PATCH` of a text that says it is JSON.
pub(super) fn patch(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    with(client, Method::PATCH, path, body)
}

/// `PUT` of a text that says it is JSON.
pub(super) fn put(client: &Client, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    with(client, Method::PUT, path, body)
}

/// `GET`.
pub(super) fn get(client: &Client, path: &str) -> RequestBuilder {
    client.request(Method::GET, path)
}

fn with(client: &Client, method: Method, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    client.request(method, path).header("content-type", "application/json").body(body)
}

/// A value as a query parameter.
pub(super) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
