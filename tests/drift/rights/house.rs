//! A backend in this process, served over HTTP.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use universal_core::{
    Caller, TenantId,
    auth::{Login, Registration},
    id::UserId,
};
use universal_http::{
    Api,
    limits::Limits,
    serve::{ServeOptions, serve},
};
use universal_tests::client::Client;

use crate::conformance::subject::{On, Subject, subject};

const PASSWORD: &str = "correct horse battery staple";

/// A server of this process. It has the time of its subject's clock, which stands still.
pub(super) struct House {
    pub(super) subject: Subject,
    base: String,
    api: Api,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl House {
    pub(super) async fn new(on: On) -> Self {
        let subject = subject(on).await;
        let mut limits = Limits::default();
        // Steps follow one another faster than a client's.
        limits.frames_per_second = 100_000;
        let api = universal_examples::api::of(&subject.backend).limits(limits).build().expect("an API");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let base = format!("http://{}", listener.local_addr().expect("a bound listener"));
        let stop = CancellationToken::new();
        let serving = tokio::spawn({
            let (service, stop) = (api.all(), stop.clone());
            async move {
                serve(listener, service, ServeOptions::default().with_drain(Duration::from_secs(1)), stop.cancelled())
                    .await;
            }
        });
        Self { subject, base, api, stop, serving }
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Somebody new.
    pub(super) async fn someone(&self) -> Client {
        Client::new(&self.base).someone().await
    }

    /// An administrator.
    pub(super) async fn admin(&self) -> Client {
        self.subject.backend.create_admin("admin@example.test", &PASSWORD.to_owned().into()).await.expect("an account");
        Client::new(&self.base).login("admin@example.test", PASSWORD).await
    }

    /// Somebody new of another tenant, whose accounts sign in in Rust alone.
    pub(super) async fn someone_of(&self, tenant: &TenantId) -> Client {
        let registration = Registration::new("someone@example.test", PASSWORD.to_owned());
        let nobody = Caller::anonymous(tenant.clone());
        let signed_in = self.subject.backend.auth().register(&nobody, registration).await.expect("an account");
        Client::new(&self.base).with_token(signed_in.access_token.expose_secret())
    }

    /// An administrator of another tenant.
    pub(super) async fn admin_of(&self, tenant: &TenantId) -> Client {
        let (auth, address) = (self.subject.backend.auth(), "admin@example.test");
        let system = Caller::system(tenant.clone());
        auth.create_admin(&system, address, &PASSWORD.to_owned().into()).await.expect("an account");
        let nobody = Caller::anonymous(tenant.clone());
        let signed_in = auth.login(&nobody, Login::new(address, PASSWORD.to_owned())).await.expect("an administrator");
        Client::new(&self.base).with_token(signed_in.access_token.expose_secret())
    }

    /// Other roles for somebody; the credentials that tell of them come with the next refresh.
    pub(super) async fn set_roles(&self, client: &Client, roles: &[&str]) {
        let system = Caller::system(TenantId::default_tenant());
        let user = UserId::new(client.user_id()).expect("an id");
        let roles = roles.iter().map(|role| (*role).to_owned()).collect();
        self.subject.backend.auth().set_roles(&system, &user, roles).await.expect("an account");
    }

    /// The same user with newer credentials.
    pub(super) async fn refreshed(&self, client: &Client) -> Client {
        let body = json!({ "refresh_token": client.refresh_token() });
        client.signed_in(&Client::new(&self.base).post("/auth/refresh", body).await.expect(200))
    }

    pub(super) async fn close(self) {
        self.api.close();
        self.stop.cancel();
        self.serving.await.ok();
        self.subject.backend.shutdown().await;
    }
}

/// All documents that a list answers, by id.
pub(super) async fn listed(client: &Client, collection: &str, filter: &str) -> Result<Vec<Value>, String> {
    let filter = if filter.is_empty() { String::new() } else { format!("&filter={}", encoded(filter)) };
    let request = client.request(http::Method::GET, &format!("/db/{collection}?limit=500{filter}"));
    let answer = client.send(request).await;
    match (answer.status, answer.json()["items"].as_array()) {
        (200, Some(items)) => Ok(items.clone()),
        _ => Err(format!("a list was answered {} {}", answer.status, answer.text())),
    }
}

/// A text as part of an address.
pub(super) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") })
        .collect()
}
