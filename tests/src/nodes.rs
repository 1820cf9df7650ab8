//! Two example servers that are one installation: on one PostgreSQL, with or without a Redis between them.

use std::net::{SocketAddr, ToSocketAddrs as _};

use crate::{
    client::Client,
    postgres::{MASTER_KEY, TestDatabase},
    postgres_server::PostgresServer,
    proxy::Proxy,
    redis::Redis,
    server::Server,
};

/// What goes between the nodes beside the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Between {
    /// A Redis of the test's own.
    Redis,
    /// The database alone.
    Postgres,
    /// The database alone, on a way on which no notification arrives.
    Silence,
}

/// Two running nodes, and what they stand on.
#[derive(Debug)]
pub struct Nodes {
    /// One node.
    pub one: Server,
    /// The other.
    pub other: Server,
    /// The Redis between them, if there is one.
    pub redis: Option<Redis>,
    /// The way to that Redis, which can be cut, or the silent way to the database.
    pub way: Option<Proxy>,
    /// The PostgreSQL that they have for themselves, if they do.
    pub postgres: Option<PostgresServer>,
    database: Option<TestDatabase>,
}

impl Nodes {
    /// Two nodes on a database of their own in the PostgreSQL of all tests.
    pub async fn started(between: Between) -> Self {
        let database = TestDatabase::migrated().await;
        let mut nodes = Self::on(database.url(), between).await;
        nodes.database = Some(database);
        nodes
    }

    /// Two nodes on a PostgreSQL that may be killed.
    pub async fn on_own_postgres(between: Between) -> Self {
        let postgres = PostgresServer::started().await;
        let mut nodes = Self::on(postgres.url(), between).await;
        nodes.postgres = Some(postgres);
        nodes
    }

    async fn on(mut database: String, between: Between) -> Self {
        let (mut redis, mut way) = (None, None);
        match between {
            Between::Redis => {
                let started = Redis::started().await;
                way = Some(Proxy::to(started.address()).await);
                redis = Some(started);
            }
            Between::Postgres => {}
            Between::Silence => {
                let silent = Proxy::without_notifications(address(&database)).await;
                database = at(&database, &silent);
                way = Some(silent);
            }
        }
        let server = || {
            let server = Server::prepare("server", None)
                .with("DATABASE_URL", database.clone())
                .with("UNIVERSAL_MASTER_KEY", MASTER_KEY)
                .with("UNIVERSAL_DATABASE_CONNECTIONS", "8");
            match (&redis, &way) {
                (Some(_), Some(way)) => server.with("REDIS_URL", format!("redis://{}", way.address())),
                _ => server,
            }
        };
        let (one, other) = tokio::join!(server().started(), server().started());
        Self { one, other, redis, way, postgres: None, database: None }
    }

    /// The database that both are on, in the PostgreSQL of all tests.
    #[must_use]
    pub fn database(&self) -> &TestDatabase {
        self.database.as_ref().expect("nodes in the PostgreSQL of all tests")
    }

    /// The same user on each node.
    pub async fn someone(&self) -> (Client, Client) {
        let client = self.one.client().someone().await;
        let other = self.other.client().with_token(client.token());
        (client, other)
    }
}

/// The host and port in the address of a database.
fn authority(database: &str) -> (&str, &str, &str) {
    let begin = database.find("://").expect("an address") + 3;
    let begin = database[begin..].find('@').map_or(begin, |at| begin + at + 1);
    let end = database[begin..].find('/').map_or(database.len(), |slash| begin + slash);
    (&database[..begin], &database[begin..end], &database[end..])
}

fn address(database: &str) -> SocketAddr {
    let (_, authority, _) = authority(database);
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:5432") };
    authority.to_socket_addrs().ok().and_then(|mut found| found.next()).expect("the host of the database")
}

/// The same database, by another way; without TLS, so that the way can see what goes on it.
fn at(database: &str, way: &Proxy) -> String {
    let (before, _, behind) = authority(database);
    let mark = if behind.contains('?') { '&' } else { '?' };
    format!("{before}{}{behind}{mark}sslmode=disable", way.address())
}
