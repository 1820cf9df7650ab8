//! The way between nodes, while what carries it goes away and comes back.

use std::{sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use tokio::{
    sync::broadcast::Receiver,
    time::{Instant, timeout},
};
use universal_core::{
    Backend, ErrorKind, Settings, TenantId,
    conformance::bus::{Fixture, Node},
    realtime::{Arrival, Broadcast, bus::Ring},
    secret::MasterKey,
};
use universal_tests::{
    postgres::{MASTER_KEY, TestDatabase},
    redis::Redis,
    wait,
};

const PATIENCE: Duration = Duration::from_secs(20);

async fn on_redis(redis: &Redis) -> Backend {
    on_redis_url(redis.url()).await
}

async fn on_redis_url(url: String) -> Backend {
    let mut settings = Settings::default();
    settings.redis_url = Some(url.into());
    Backend::builder().in_memory().with_settings(settings).build().await.expect("a backend opens")
}

async fn on_postgres(database: &TestDatabase) -> Backend {
    let mut settings = Settings::default();
    settings.database_url = Some(database.url().into());
    settings.master_key = Some(MASTER_KEY.to_owned().into());
    Backend::builder().in_memory().with_settings(settings).build().await.expect("a backend opens")
}

fn nodes(one: &Backend, other: &Backend) -> Fixture {
    let node = |backend: &Backend| Node::new(Arc::clone(backend.bus()), Arc::clone(backend.broadcaster()));
    Fixture::new(node(one), node(other))
}

fn message(payload: &str) -> Broadcast {
    Broadcast { tenant: TenantId::default_tenant(), channel: "room".into(), payload: payload.into() }
}

async fn missed(rings: &mut Receiver<Ring>) {
    let heard = async { while rings.recv().await.expect("a ring") != Ring::Missed {} };
    timeout(PATIENCE, heard).await.expect("a node that was cut off hears that rings may be missing");
}

/// That what is said on `backend` is refused, and at once.
async fn is_refused_at_once(backend: &Backend) {
    for _ in 0..5 {
        let began = Instant::now();
        let error = backend.broadcaster().send(message("lost")).await.expect_err("nothing carries it");
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "bus-unavailable"));
        // Ten times what is promised: this machine may be busy.
        assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
    }
}

/// That a ring on `backend` is heard on it, whatever carries it to others.
async fn rings_here(backend: &Backend) {
    let (tenant, mut rings) = (TenantId::new("here").unwrap(), backend.bus().listen());
    backend.bus().ring(&tenant, 3);
    let ring = timeout(PATIENCE, rings.recv()).await.expect("a ring in the same process").unwrap();
    assert_eq!(ring, Ring::Grew { tenant, seq: 3 });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_late_goes_away_and_freezes_is_connected_to_again() {
    let redis = Redis::absent();
    let (one, other) = (on_redis(&redis).await, on_redis(&redis).await);
    is_refused_at_once(&one).await;
    rings_here(&one).await;
    let mut rings = other.bus().listen();
    redis.start().await;
    missed(&mut rings).await;
    nodes(&one, &other).open().await.unwrap();

    let (mut rings, mut arrivals) = (other.bus().listen(), other.broadcaster().arrivals());
    redis.kill();
    wait::until("the loss to be noticed", PATIENCE, || async { one.broadcaster().send(message("x")).await.is_err() })
        .await;
    is_refused_at_once(&one).await;
    rings_here(&one).await;
    redis.start().await;
    missed(&mut rings).await;
    let told = async { while arrivals.recv().await.unwrap() != (Arrival::Missed { count: None }) {} };
    timeout(PATIENCE, told).await.expect("who listens to messages hears that some may be missing");
    nodes(&one, &other).open().await.unwrap();

    redis.freeze();
    is_refused_at_once(&one).await;
    rings_here(&one).await;
    redis.thaw();
    nodes(&one, &other).open().await.unwrap();
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_redis_that_was_taken_away_comes_back_and_leaves_no_key() {
    let redis = Redis::started().await;
    let (one, other) = (on_redis(&redis).await, on_redis(&redis).await);
    nodes(&one, &other).open().await.unwrap();
    for kind in ["pubsub", "normal"] {
        redis.command(&["CLIENT", "KILL", "TYPE", kind]).await;
        nodes(&one, &other).open().await.unwrap();
    }
    // Taken off its channels behind its back: it hears nothing, and its connection is as good as ever.
    let mut rings = other.bus().listen();
    redis.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 1 1 1"]).await;
    one.broadcaster().send(message("more than it may hold")).await.ok();
    redis.command(&["CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 8388608 60"]).await;
    nodes(&one, &other).open().await.unwrap();
    assert!(rings.try_recv().is_ok());
    assert_eq!(redis.command(&["DBSIZE"]).await, ":0\r\n");
    one.shutdown().await;
    other.shutdown().await;
    wait::until("no connection to be left", PATIENCE, || async {
        redis.command(&["CLIENT", "LIST"]).await.matches("id=").count() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_publish_is_passed_over() {
    let redis = Redis::started().await;
    let (one, other) = (on_redis(&redis).await, on_redis(&redis).await);
    nodes(&one, &other).open().await.unwrap();
    let mut arrivals = other.broadcaster().arrivals();
    for text in [
        "",
        "\n",
        "m default 4",
        "m default 400\nroom{}",
        "m DEFAULT 4\nroom{}",
        "{\"t\":1}",
        "r x\nnobody -",
        "p n 1 0 2\nx",
    ] {
        for shard in 0..16 {
            for kind in ["m", "r", "n"] {
                redis.command(&["PUBLISH", &format!("universal:0:{kind}:{shard}"), text]).await;
            }
        }
    }
    one.broadcaster().send(message("whole")).await.unwrap();
    let arrived = timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    assert_eq!(arrived, Arrival::Message(Arc::new(message("whole"))));
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_of_one_redis_do_not_hear_each_other() {
    use fred::prelude::{ClientLike as _, Config};
    let redis = Redis::started().await;
    let url = |number: u8| format!("{}/{number}", redis.url());
    let (one, other) = (on_redis_url(url(3)).await, on_redis_url(url(3)).await);
    let elsewhere = on_redis_url(url(4)).await;
    let client = fred::clients::Client::new(Config::from_url(&url(3)).unwrap(), None, None, None);
    client.init().await.unwrap();
    let lent = Backend::builder().in_memory().with_redis_client(client.clone()).build().await.unwrap();
    nodes(&one, &other).open().await.unwrap();
    nodes(&one, &lent).open().await.unwrap();
    nodes(&elsewhere, &elsewhere).open().await.unwrap();

    let (mut arrivals, mut rings) = (elsewhere.broadcaster().arrivals(), elsewhere.bus().listen());
    let mut heard = other.broadcaster().arrivals();
    for n in 0..20 {
        one.broadcaster().send(message(&n.to_string())).await.unwrap();
        one.bus().ring(&TenantId::default_tenant(), n);
    }
    for _ in 0..20 {
        timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    }
    elsewhere.broadcaster().send(message("its own")).await.unwrap();
    let arrived = timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    assert_eq!(arrived, Arrival::Message(Arc::new(message("its own"))), "a message of another database was heard");
    assert!(rings.try_recv().is_err(), "a ring of another database was heard");
    for backend in [one, other, elsewhere, lent] {
        backend.shutdown().await;
    }
    client.quit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hosts_redis_client_publishes_and_stays_the_hosts() {
    use fred::prelude::{ClientLike as _, Config, EventInterface as _, KeysInterface as _};
    let redis = Redis::started().await;
    let client = fred::clients::Client::new(Config::from_url(&redis.url()).unwrap(), None, None, None);
    client.init().await.unwrap();
    let one = Backend::builder().in_memory().with_redis_client(client.clone()).build().await.unwrap();
    let other = on_redis(&redis).await;
    assert_eq!(one.summary().bus, "Redis, by the host's client");
    nodes(&one, &other).open().await.unwrap();
    one.shutdown().await;
    assert_eq!(client.exists::<i64, _>("nothing").await.unwrap(), 0, "it is open after the shutdown");
    drop(client.message_rx());
    client.quit().await.unwrap();
    other.shutdown().await;
}

#[tokio::test]
async fn a_redis_url_that_is_none_is_refused() {
    let mut settings = Settings::default();
    settings.redis_url = Some("localhost:6379".to_owned().into());
    let error = Backend::builder().in_memory().with_settings(settings).build().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.field()),
        (ErrorKind::Invalid, "invalid-redis-url", Some("redis_url"))
    );
}

async fn count(connection: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let row = connection.query_one_raw(statement).await.expect("the database answers").expect("a row");
    row.try_get_by_index(0).expect("a number")
}

const LISTENERS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'universal-backend bus'";
const KILL_LISTENERS: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'universal-backend bus'";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_listens_to_postgresql_comes_back_and_ends_with_the_backend() {
    let database = TestDatabase::migrated().await;
    let admin = database.connect().await;
    let (one, other) = (on_postgres(&database).await, on_postgres(&database).await);
    for _ in 0..3 {
        nodes(&one, &other).open().await.unwrap();
        assert_eq!(count(&admin, LISTENERS).await, 2);
        let mut rings = other.bus().listen();
        assert_eq!(count(&admin, KILL_LISTENERS).await, 2);
        missed(&mut rings).await;
    }
    nodes(&one, &other).open().await.unwrap();
    one.shutdown().await;
    let error = one.broadcaster().send(message("x")).await.unwrap_err();
    assert_eq!(error.code(), "bus-unavailable");
    other.shutdown().await;
    wait::until("no connection to listen any more", PATIENCE, || async { count(&admin, LISTENERS).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_notify_is_passed_over_and_other_schemas_are_not_heard() {
    let database = TestDatabase::migrated().await;
    let admin = database.connect().await;
    let (one, other) = (on_postgres(&database).await, on_postgres(&database).await);
    nodes(&one, &other).open().await.unwrap();
    let mut arrivals = other.broadcaster().arrivals();
    // The channel of the schema `public`: FNV-1a of its name.
    let channel = "universal_f4b72165f60f5b60";
    for text in ["", "m default 4", "m DEFAULT 4\nroom{}", "p n 1 0 9999\nx", "p n 1 0 2\nx", "r x\nnobody -"] {
        for channel in [channel, "universal_0000000000000000"] {
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT pg_notify($1, $2)",
                [channel.into(), text.into()],
            );
            admin.execute_raw(statement).await.unwrap();
        }
    }
    one.broadcaster().send(message("whole")).await.unwrap();
    let arrived = timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    assert_eq!(arrived, Arrival::Message(Arc::new(message("whole"))));
    one.shutdown().await;
    other.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_pool_of_one_connection_is_not_starved() {
    let database = TestDatabase::migrated().await;
    let lent = |connections| {
        let mut options = sea_orm::ConnectOptions::new(database.url());
        options.max_connections(connections).sqlx_logging(false);
        async move {
            let pool = sea_orm::Database::connect(options).await.unwrap();
            let key = MasterKey::from_hex(MASTER_KEY).unwrap();
            Backend::builder().in_memory().with_postgres_connection(pool).with_master_key(key).build().await.unwrap()
        }
    };
    let (one, other) = (lent(1).await, lent(2).await);
    nodes(&one, &other).open().await.unwrap();
    one.shutdown().await;
    other.shutdown().await;
}

/// How often a connection that is taken away again and again is made again while `rounds` pass, each of 20 ms at least.
async fn taken_away<F: Future<Output = i64>>(rounds: usize, mut take: impl FnMut() -> F) -> i64 {
    let mut taken = 0;
    for _ in 0..rounds {
        taken += take().await;
        wait::pause(Duration::from_millis(20)).await;
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_connections_and_drops_them_is_not_hammered() {
    let database = TestDatabase::migrated().await;
    let admin = database.connect().await;
    let one = on_postgres(&database).await;
    nodes(&one, &one).open().await.unwrap();
    // Not before it listens: to the node that is a success each time.
    let kill = format!("{KILL_LISTENERS} AND state = 'idle' AND query LIKE 'LISTEN%'");
    let began = Instant::now();
    let taken = taken_away(150, || count(&admin, &kill)).await;
    let seconds = began.elapsed().as_secs();
    assert!(taken >= 3, "{taken} connections were taken away");
    // The pauses grow to 2 s: six of them take 3 s.
    assert!(taken <= 8 + i64::try_from(seconds).unwrap() / 2, "{taken} connections in {seconds} s");
    nodes(&one, &one).open().await.unwrap();
    one.shutdown().await;

    let redis = Redis::started().await;
    let one = on_redis(&redis).await;
    nodes(&one, &one).open().await.unwrap();
    let began = Instant::now();
    let taken = taken_away(150, || async {
        let killed = redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        killed.trim_start_matches(':').trim().parse().expect("a number")
    })
    .await;
    let seconds = began.elapsed().as_secs();
    assert!(taken >= 3, "{taken} connections were taken away");
    assert!(taken <= 4 * (i64::try_from(seconds).unwrap() + 1), "{taken} connections in {seconds} s");
    nodes(&one, &one).open().await.unwrap();
    one.shutdown().await;
}
