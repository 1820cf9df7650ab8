//! The suite of the contract, and what can be seen only in the tables, on each database.
#![cfg(feature = "testing")]

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::{
        keys::AuthKeys,
        options::{AuthOptions, HashingOptions},
        service::Auth,
        session::{Login, Registration, SignedIn},
        user::ImportUser,
    },
    caller::Caller,
    clock::{Clock as _, ManualClock, SharedClock, SystemClock},
    conformance::auth::{AuthFixture, cases},
    drivers::sql::{
        auth::SqlAuth,
        connection::{Database, Signals},
        open::OpenOptions,
        statement::column,
    },
    engine::local::LocalBus,
    id::TenantId,
    secret::MasterKey,
};

const PASSWORD: &str = "correct horse battery staple";

struct Node {
    db: Database,
    clock: Arc<ManualClock>,
    keys: Arc<AuthKeys>,
    auth: Arc<SqlAuth>,
}

impl Node {
    async fn on(db: Database) -> Self {
        let keys = Arc::new(AuthKeys::derive(&MasterKey::generate().unwrap()).unwrap());
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let insert = "INSERT INTO universal_tenants (id, created_at) VALUES ('other', 0)";
        db.write(move |w| Box::pin(async move { w.execute(insert, vec![]).await })).await.unwrap();
        Self { auth: service(&db, &keys, &clock), db, clock, keys }
    }

    /// Another node of the same backend.
    fn beside(&self) -> Self {
        Self {
            db: self.db.clone(),
            clock: Arc::clone(&self.clock),
            keys: Arc::clone(&self.keys),
            auth: service(&self.db, &self.keys, &self.clock),
        }
    }

    fn fixture(&self) -> AuthFixture {
        AuthFixture {
            auth: Arc::clone(&self.auth) as Arc<dyn Auth>,
            clock: Arc::clone(&self.clock),
            tenant: TenantId::default_tenant(),
            other_tenant: TenantId::new("other").unwrap(),
            disable_other: {
                let db = self.db.clone();
                Arc::new(move |disabled| {
                    let db = db.clone();
                    Box::pin(async move { db.set_tenant_disabled(&TenantId::new("other")?, disabled).await })
                })
            },
        }
    }

    async fn register(&self, email: &str) -> SignedIn {
        self.auth.register(&anonymous(), Registration::new(email, PASSWORD.to_owned())).await.unwrap()
    }

    async fn refresh(&self, token: &SecretString) -> Result<SignedIn, &'static str> {
        self.auth.refresh(&anonymous(), token).await.map_err(|error| error.code())
    }

    async fn check(&self, signed_in: &SignedIn) -> Result<Caller, &'static str> {
        self.auth.authenticate(None, signed_in.access_token.expose_secret()).await.map_err(|error| error.code())
    }

    async fn text(&self, sql: &'static str) -> Vec<String> {
        let rows = self.db.all(sql, vec![]).await.unwrap();
        rows.iter().map(|row| column(row, 0).unwrap()).collect()
    }

    async fn execute(&self, sql: &'static str) {
        self.db.write(move |w| Box::pin(async move { w.execute(sql, vec![]).await })).await.unwrap();
    }
}

fn service(db: &Database, keys: &Arc<AuthKeys>, clock: &Arc<ManualClock>) -> Arc<SqlAuth> {
    let hashing = HashingOptions::default().with_cost(64, 1, 1);
    let options = AuthOptions::default().with_hashing(hashing);
    Arc::new(SqlAuth::new(db.clone(), Arc::clone(keys), Arc::clone(clock) as SharedClock, options).unwrap())
}

fn anonymous() -> Caller {
    Caller::anonymous(TenantId::default_tenant())
}

fn signals() -> Signals {
    Signals::new(Arc::new(LocalBus::default()))
}

async fn everything(db: Database) {
    let node = Node::on(db).await;
    let mut failures = Vec::new();
    for case in cases() {
        if let Err(found) = (case.run)(node.fixture()).await {
            failures.push(format!("{}: {found}", case.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    secrets_are_hashed_at_rest(&node).await;
    old_hashes_are_replaced(&node).await;
    the_other_node_notices_within_five_seconds(&node).await;
    two_nodes_compute_one_successor(&node).await;
    a_disabled_account_is_out(&node).await;
    a_tenant_is_disabled_for_all_nodes(&node).await;
    node.db.shutdown().await;
}

async fn secrets_are_hashed_at_rest(node: &Node) {
    let signed_in = node.register("rest@example.com").await;
    let (access, refresh) = (signed_in.access_token.expose_secret(), signed_in.refresh_token.expose_secret());
    let rows = node.text("SELECT password_hash FROM universal_users WHERE email = 'rest@example.com'").await;
    assert!(rows[0].starts_with("$argon2id$"));
    let sessions = "SELECT family_hash || ' ' || token_hash || ' ' || recent || ' ' || id FROM universal_sessions";
    for row in node.text(sessions).await {
        assert!(!row.contains(refresh) && !row.contains(&refresh[6..]) && !row.contains(access));
    }
}

async fn old_hashes_are_replaced(node: &Node) {
    let system = Caller::system(TenantId::default_tenant());
    let hash = bcrypt::hash(PASSWORD, 4).unwrap();
    node.auth.import_user(&system, ImportUser::new("old@example.com", hash.clone())).await.unwrap();
    let stored = "SELECT password_hash FROM universal_users WHERE email = 'old@example.com'";
    let caller = anonymous();
    let login = |password: &str| node.auth.login(&caller, Login::new("old@example.com", password.to_owned()));
    assert!(login("wrong password").await.is_err());
    assert_eq!(node.text(stored).await, [hash]);
    // Many at once: all get in, one hash stays.
    let logins = futures_util::future::join_all((0..10).map(|_| login(PASSWORD))).await;
    assert!(logins.iter().all(Result::is_ok));
    let replaced = node.text(stored).await;
    assert!(replaced[0].starts_with("$argon2id$v=19$m=64,t=1,p=1$"));
    login(PASSWORD).await.unwrap();
    assert_eq!(node.text(stored).await, replaced, "a hash of today's cost stays");
}

async fn the_other_node_notices_within_five_seconds(node: &Node) {
    let other = node.beside();
    let signed_in = node.register("nodes@example.com").await;
    let caller = node.check(&signed_in).await.unwrap();
    other.check(&signed_in).await.unwrap();
    node.auth.logout(&caller, None).await.unwrap();
    assert_eq!(node.check(&signed_in).await.unwrap_err(), "session-ended");
    node.clock.advance(Duration::from_millis(4_900));
    // Perhaps noticed already; at five seconds certainly.
    let _ = other.check(&signed_in).await;
    node.clock.advance(Duration::from_millis(100));
    assert_eq!(other.check(&signed_in).await.unwrap_err(), "session-ended");
}

async fn two_nodes_compute_one_successor(node: &Node) {
    let other = node.beside();
    let signed_in = node.register("successor@example.com").await;
    let token = &signed_in.refresh_token;
    let both = futures_util::future::join_all((0..20).map(|n| if n % 2 == 0 { node } else { &other }.refresh(token)));
    let mut successors: Vec<_> =
        both.await.into_iter().map(|next| next.unwrap().refresh_token.expose_secret().to_owned()).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    assert_eq!(
        node.text(
            "SELECT s.id FROM universal_sessions s JOIN universal_users u
            ON u.tenant_id = s.tenant_id AND u.id = s.user_id WHERE u.email = 'successor@example.com'"
        )
        .await
        .len(),
        1
    );
}

async fn a_disabled_account_is_out(node: &Node) {
    let signed_in = node.register("disabled@example.com").await;
    let caller = node.check(&signed_in).await.unwrap();
    node.execute("UPDATE universal_users SET disabled = TRUE WHERE email = 'disabled@example.com'").await;
    node.clock.advance(Duration::from_secs(5));
    assert_eq!(node.check(&signed_in).await.unwrap_err(), "session-ended");
    assert_eq!(node.refresh(&signed_in.refresh_token).await.unwrap_err(), "invalid-refresh-token");
    assert_eq!(node.auth.me(&caller).await.unwrap_err().code(), "unauthenticated");
    let login = node.auth.login(&anonymous(), Login::new("disabled@example.com", PASSWORD.to_owned())).await;
    assert_eq!(login.unwrap_err().code(), "invalid-credentials");
}

async fn a_tenant_is_disabled_for_all_nodes(node: &Node) {
    let (tenant, other) = (TenantId::new("other").unwrap(), node.beside());
    let registration = Registration::new("kept-out@example.com", PASSWORD.to_owned());
    let signed_in = node.auth.register(&Caller::anonymous(tenant.clone()), registration).await.unwrap();
    other.check(&signed_in).await.unwrap();
    node.db.set_tenant_disabled(&tenant, true).await.unwrap();
    node.clock.advance(Duration::from_secs(5));
    assert_eq!(other.check(&signed_in).await.unwrap_err(), "tenant-disabled");
    node.db.set_tenant_disabled(&tenant, false).await.unwrap();
    node.clock.advance(Duration::from_secs(5));
    other.check(&signed_in).await.unwrap();
    let nowhere = TenantId::new("nowhere").unwrap();
    assert_eq!(node.db.set_tenant_disabled(&nowhere, true).await.unwrap_err().code(), "unknown-tenant");
    let default = node.db.set_tenant_disabled(&TenantId::default_tenant(), true).await;
    assert_eq!(default.unwrap_err().code(), "default-tenant");
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqlite() {
    everything(Database::open_temporary(&OpenOptions::default(), signals()).await.unwrap()).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres() {
    use sqlx::{Connection as _, Executor as _};
    let server = std::env::var("UNIVERSAL_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!("set UNIVERSAL_TEST_POSTGRES_URL to a PostgreSQL server, or run `tests/run`, which starts one")
    });
    let name = format!("universal_auth_{}", crate::id::random_hex(6).unwrap());
    let mut connection = sqlx::PgConnection::connect(&server).await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let url = format!("{}/{name}", server.rsplit_once('/').unwrap().0);
    everything(Database::open_postgres(&url, &OpenOptions::default(), signals()).await.unwrap()).await;
    connection.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}
