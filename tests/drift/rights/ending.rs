//! Whoever may hear no more hears no more: after logout, the end of a token, an account or a tenant, the loss of a role, another
//! rule.

use std::time::Duration;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use universal_core::{Caller, TenantId, id::DocumentId};
use universal_tests::{
    bare::{Bare, Heard},
    client::Client,
    sse::Sse,
    wait,
};

use super::house::House;
use crate::conformance::subject::On;

/// How long it may take until nothing more is told.
const GRACE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);

/// Why somebody may hear no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Logout,
    Expiry,
    Disabled,
    Deleted,
    Role,
    Rule,
    Tenant,
}

impl Why {
    /// By what the documents are seen before.
    fn rule(self) -> &'static str {
        match self {
            Self::Role => "\"editor\" in caller.roles",
            _ => "caller.id != null",
        }
    }

    /// What is told of it.
    fn code(self) -> &'static str {
        match self {
            Self::Expiry => "\"code\":\"token-expired\"",
            Self::Tenant => "\"code\":\"tenant-disabled\"",
            _ => "\"code\":\"session-ended\"",
        }
    }

    /// Whether the credentials end, and the sockets with them.
    fn ends_sockets(self) -> bool {
        self != Self::Rule
    }
}

/// Somebody who listens in three ways to a collection of their own.
struct Listener {
    collection: String,
    client: Client,
    sockets: [Bare; 2],
    stream: Sse,
}

impl Listener {
    async fn new(house: &House, admin: &Client, why: Why) -> Self {
        let collection = format!("ending-{}", format!("{why:?}").to_lowercase());
        configure(admin, &collection, why.rule()).await;
        let client = house.someone().await;
        house.set_roles(&client, &["editor"]).await;
        Self::listening(house.refreshed(&client).await, admin, collection).await
    }

    /// Somebody who hears of a first document.
    async fn listening(client: Client, admin: &Client, collection: String) -> Self {
        let mut sockets = [open(&client, "subscribe", &collection).await, open(&client, "watch", &collection).await];
        let mut stream = Sse::open(&client, &format!("/realtime/sse?collection={collection}"), None).await;
        assert_eq!(stream.next_of_interest().await.expect("a first event").event, "subscribed");
        admin.put(&format!("/db/{collection}/before"), json!({ "n": 0 })).await.expect(201);
        for socket in &mut sockets {
            hear(socket, "change").await;
        }
        assert_eq!(stream.next_of_interest().await.expect("an event").event, "change");
        Self { collection, client, sockets, stream }
    }

    /// That it heard nothing of what was written since, and how it ended.
    async fn hears_no_more(mut self, why: Why) {
        if !why.ends_sockets() {
            return self.hears_the_mark_alone().await;
        }
        for socket in &mut self.sockets {
            let (said, end) = socket.rest(PATIENCE, &format!("{why:?}")).await;
            let told: Vec<_> = said.iter().filter(|frame| !frame.starts_with("{\"type\":\"heartbeat\"")).collect();
            assert!(
                matches!(told[..], [error] if error.starts_with("{\"type\":\"error\"") && error.contains(why.code())),
                "{why:?}: a socket was told {told:?}"
            );
            assert_eq!(end, Heard::Closed(Some(4401)), "{why:?}");
        }
        let closed = self.stream.next_of_interest().await.expect("a last event");
        assert!(closed.event == "closed" && closed.data.contains(why.code()), "{why:?}: {closed:?}");
        assert!(self.stream.next_of_interest().await.is_none(), "{why:?}: the stream goes on");
    }

    async fn hears_the_mark_alone(&mut self) {
        let [subscribed, watched] = &mut self.sockets;
        let change = hear(subscribed, "change").await;
        assert!(change.contains("\"id\":\"mark\""), "{change}");
        let snapshot = hear(watched, "snapshot").await;
        assert!(snapshot.contains("\"documents\":[]"), "{snapshot}");
        let change = hear(watched, "change").await;
        assert!(change.contains("\"id\":\"mark\""), "{change}");
        let event = self.stream.next_of_interest().await.expect("an event");
        assert!(event.event == "change" && event.data.contains("\"id\":\"mark\""), "{event:?}");
    }
}

async fn configure(admin: &Client, collection: &str, rule: &str) {
    let settings = json!({ "rules": { "list": rule, "get": rule } });
    admin.put(&format!("/admin/collections/{collection}"), settings).await.expect(200);
}

async fn open(client: &Client, kind: &str, collection: &str) -> Bare {
    let mut socket = Bare::open(client.base(), "/realtime").await.expect("a WebSocket");
    for frame in [
        json!({ "type": "auth", "token": client.token() }),
        json!({ "type": kind, "ref": "1", "collection": collection }),
    ] {
        socket.say(&frame.to_string()).await.expect("an open socket");
    }
    hear(&mut socket, if kind == "watch" { "snapshot" } else { "subscribed" }).await;
    socket
}

/// The next frame of this type, which must come.
async fn hear(socket: &mut Bare, kind: &str) -> String {
    let heard = timeout(PATIENCE, socket.hear_of(kind)).await;
    heard.unwrap_or_else(|_| panic!("no {kind} came")).unwrap_or_else(|end| panic!("{end:?} instead of {kind}"))
}

#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn end(house: &House, admin: &Client, listener: &Listener, why: Why) {
    match why {
        Why::Logout => drop(listener.client.post("/auth/logout", json!({})).await.expect(204)),
        // An access token is good for 15 minutes, and for 30 seconds more where clocks differ.
        Why::Expiry => house.subject.clock.advance(Duration::from_secs(15 * 60 + 31)),
        Why::Disabled => on_account(house, "UPDATE universal_users SET disabled = TRUE", listener).await,
        Why::Deleted => on_account(house, "DELETE FROM universal_users", listener).await,
        Why::Role => house.set_roles(&listener.client, &[]).await,
        Why::Rule => configure(admin, &listener.collection, "has(doc.mark)").await,
        Why::Tenant => {
            house.subject.backend.disable_tenant(&elsewhere()).await.expect("a tenant");
            // What nodes know of a session they ask again after so long.
            house.subject.clock.advance(GRACE);
        }
    }
}

/// What another program does to an account.
#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn on_account(house: &House, statement: &str, listener: &Listener) {
    let id: uuid::Uuid = listener.client.user_id().parse().expect("an id");
    let sql = format!("{statement} WHERE id = '{id}'");
    house.subject.connect().await.execute_unprepared(&sql).await.expect("an account");
}

#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn endings(on: On, whys: &[Why]) {
    let house = House::new(on).await;
    let admin = house.admin().await;
    let mut listeners = Vec::new();
    for why in whys {
        listeners.push((*why, Listener::new(&house, &admin, *why).await));
    }
    for (why, listener) in &listeners {
        end(&house, &admin, listener, *why).await;
    }
    wait::pause(GRACE).await;
    // Who ends the others' credentials by the clock has ended their own.
    let admin = Client::new(house.base()).login("admin@example.test", "correct horse battery staple").await;
    for (_, listener) in &listeners {
        for (id, body) in [("before", json!({ "n": 1 })), ("after", json!({ "n": 2 })), ("mark", json!({ "mark": 1 }))]
        {
            let written = admin.put(&format!("/db/{}/{id}", listener.collection), body).await;
            assert!(matches!(written.status, 200 | 201), "{}", written.text());
        }
    }
    for (why, listener) in listeners {
        listener.hears_no_more(why).await;
    }
    house.close().await;
}

fn elsewhere() -> TenantId {
    TenantId::new("elsewhere").expect("a name")
}

/// Writes as the program does, whom nothing keeps out.
async fn write_as_program(house: &House, tenant: TenantId, collection: &str, id: &str) {
    let documents = house.subject.backend.collection::<Value>(collection).expect("a name");
    let id = DocumentId::new(id).expect("a name");
    documents.create_with_id(&Caller::system(tenant), &id, &json!({ "n": 1 })).await.expect("a new document");
}

#[expect(clippy::future_not_send, reason = "a test waits for it on its own thread")]
async fn ending_of_a_tenant(on: On) {
    let (house, collection) = (House::new(on).await, "ending".to_owned());
    let backend = &house.subject.backend;
    backend.create_tenant(&elsewhere()).await.expect("a new tenant");
    let (admin, admin_there) = (house.admin().await, house.admin_of(&elsewhere()).await);
    for admin in [&admin, &admin_there] {
        configure(admin, &collection, "caller.id != null").await;
    }
    let mut here = Listener::listening(house.someone().await, &admin, collection.clone()).await;
    let there = Listener::listening(house.someone_of(&elsewhere()).await, &admin_there, collection.clone()).await;
    end(&house, &admin, &there, Why::Tenant).await;
    wait::pause(GRACE).await;
    write_as_program(&house, elsewhere(), &collection, "after").await;
    write_as_program(&house, TenantId::default_tenant(), &collection, "beside").await;

    let change = hear(&mut here.sockets[0], "change").await;
    assert!(change.contains("\"id\":\"beside\""), "another tenant's goes on: {change}");
    let client = there.client.clone();
    there.hears_no_more(Why::Tenant).await;
    let path = format!("/db/{collection}/after");
    assert_eq!(client.read(&path).await.expect(403).code(), "tenant-disabled");
    backend.enable_tenant(&elsewhere()).await.expect("a tenant");
    house.subject.clock.advance(GRACE);
    client.read(&path).await.expect(200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_a_tenant_that_is_disabled_hears_more_on_sqlite() {
    ending_of_a_tenant(On::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_of_a_tenant_that_is_disabled_hears_more_on_postgresql() {
    ending_of_a_tenant(On::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_hear_no_more_hears_no_more_on_sqlite() {
    endings(On::Sqlite, &[Why::Logout, Why::Role, Why::Rule]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_hear_no_more_hears_no_more_on_postgresql() {
    endings(On::Postgres, &[Why::Logout, Why::Disabled, Why::Deleted, Why::Role, Why::Rule]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_a_token_that_has_expired_hears_no_more() {
    endings(On::Sqlite, &[Why::Expiry]).await;
}
