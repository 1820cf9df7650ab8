//! What can be seen of indexes only in the tables (plans, entries, steps of building), and of pages only within the crate.
#![cfg(feature = "testing")]

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use secrecy::SecretBox;
use serde_json::json;

use crate::{
    caller::Caller,
    clock::{Clock as _, ManualClock, SystemClock},
    collections::{
        CollectionSettings, Collections as _, DocumentWrite, IndexSettings, IndexState, ListQuery, Matching,
        MatchingWrite, NewDocument, Precondition,
        count::Counting,
        list_cursor::CursorKey,
        plan,
        port::{IndexBuilder as _, Step},
        rule::Visible,
    },
    drivers::sql::{
        collections::{
            SqlCollections, SqlConfigurations, list,
            write::{self, Author},
        },
        connection::{Database, Signals},
        dialect::Dialect,
        open::OpenOptions,
        statement::column,
    },
    engine::local::LocalBus,
    expr::Known,
    id::{CollectionName, DocumentId, TenantId},
    json::Object,
    page::Limit,
};

struct Node {
    database: Database,
    collections: Arc<SqlCollections>,
    clock: Arc<ManualClock>,
    name: CollectionName,
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn signals() -> Signals {
    Signals::new(Arc::new(LocalBus::default()))
}

impl Node {
    fn on(database: Database) -> Self {
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let configurations = SqlConfigurations::new(database.clone(), false);
        let cursors = CursorKey::new(SecretBox::new(Box::new([7; 32])));
        let collections = SqlCollections::new(database.clone(), Arc::clone(&clock) as _, cursors, configurations);
        Self { database, collections: Arc::new(collections), clock, name: CollectionName::trusted("todos") }
    }

    async fn fill(&self, documents: usize) {
        for some in (0..documents).collect::<Vec<_>>().chunks(200) {
            let creations = some.iter().map(|n| async move {
                let body = Object::from_value(json!({"n": n % 97, "done": n % 2 == 0, "mail": n})).unwrap();
                let document = NewDocument::new(body).with_id(DocumentId::new(format!("d{n:05}")).unwrap());
                self.collections.create(&system(), &self.name, document).await.unwrap();
            });
            futures_util::future::join_all(creations).await;
        }
    }

    async fn configure(&self, indexes: &[(&str, &[&str], bool)]) {
        let mut settings = CollectionSettings::new();
        for (name, fields, unique) in indexes {
            let index = IndexSettings::on(fields.iter().copied());
            settings = settings.with_index(*name, if *unique { index.unique() } else { index });
        }
        self.collections.configure(&system(), &self.name, settings, None).await.unwrap();
    }

    /// Steps until nothing is left, each by a builder that knows nothing of the one before.
    async fn build(&self) {
        let steps = async {
            loop {
                match self.collections.index_builder().step().await.unwrap() {
                    Step::Idle => return,
                    Step::Waiting => tokio::time::sleep(Duration::from_millis(5)).await,
                    Step::More => {}
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), steps).await.unwrap();
    }

    /// How the database goes about a list.
    async fn plan(&self, query: &ListQuery) -> String {
        let caller = system();
        let (_, known) = self.collections.before_read(caller.tenant(), &self.name).await.unwrap();
        let now = self.clock.now();
        let facts = Known::of(&caller, now);
        let conditions = plan::conditions(&Visible::All, query.filter.as_ref(), &facts);
        let scan = plan::choose(known.configured.indexes(), &conditions, &query.sort);
        let asked = list::Asked {
            caller: &caller,
            collection: &self.name,
            query,
            visible: &Visible::All,
            now,
            search: None,
            scan: Some(scan.as_ref().expect("an index serves")),
            start: None,
        };
        let dialect = self.database.dialect();
        let statement = list::Statement::build(dialect, asked, &self.collections.cursors).unwrap();
        let (explain, detail) = match dialect {
            Dialect::Postgres => ("EXPLAIN", 0),
            Dialect::Sqlite => ("EXPLAIN QUERY PLAN", 3),
        };
        let rows = self.database.all(&format!("{explain} {}", statement.sql()), statement.values()).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| column(row, detail).unwrap()).collect();
        lines.join("\n")
    }

    /// The entries of an index in the order of their keys.
    async fn entries(&self, index: &str) -> Vec<(Vec<u8>, String, Option<String>)> {
        let sql = "SELECT e.key, e.tie, e.doc_id FROM universal_index_entries e
            JOIN universal_indexes i ON i.tenant_id = e.tenant_id AND i.id = e.index_id
            WHERE i.name = $1 AND i.state <> 'dropping' ORDER BY e.key, e.tie";
        let rows = self.database.all(sql, vec![index.into()]).await.unwrap();
        rows.iter().map(|row| (column(row, 0).unwrap(), column(row, 1).unwrap(), column(row, 2).unwrap())).collect()
    }

    async fn execute(&self, sql: &str, values: Vec<sea_orm::Value>) {
        let sql = sql.to_owned();
        let written = self.database.write(move |write| {
            let (sql, values) = (sql.clone(), values.clone());
            Box::pin(async move { write.execute(&sql, values).await })
        });
        written.await.unwrap();
    }

    async fn count(&self, table: &str) -> i64 {
        let row = self.database.one(&format!("SELECT count(*) FROM {table}"), vec![]).await.unwrap().unwrap();
        column(&row, 0).unwrap()
    }
}

fn query(filter: &str, sort: &str) -> ListQuery {
    let query = ListQuery::new().with_limit(Limit::new(30).unwrap());
    let query = if filter.is_empty() { query } else { query.with_filter(filter).unwrap() };
    if sort.is_empty() { query } else { query.with_sort(sort).unwrap() }
}

async fn lists_read_the_part_of_the_index_that_they_need(node: &Node) {
    node.fill(3_000).await;
    node.configure(&[("open", &["done", "-n"], false), ("mail", &["mail"], true)]).await;
    node.build().await;
    for (filter, sort, sorts) in [
        ("done == false", "-n", false),
        ("done == false && n > 50", "-n", false),
        ("done == false", "n", true),
        ("mail > 100 && mail <= 2000", "mail", false),
        ("mail == 17", "", false),
        ("", "mail", false),
        ("", "-mail", true),
    ] {
        let mut query = query(filter, sort);
        for page in 0..2 {
            let plan = node.plan(&query).await;
            let shown = format!("{filter} by {sort}, page {page}:\n{plan}");
            match node.database.dialect() {
                Dialect::Sqlite => {
                    assert!(
                        plan.contains("SEARCH entry USING PRIMARY KEY (tenant_id=? AND index_id=? AND "),
                        "{shown}"
                    );
                    assert!(plan.contains("USING PRIMARY KEY (tenant_id=? AND collection=? AND id=?)"), "{shown}");
                    // Only documents that tie are sorted.
                    let within_ties = plan.contains("USE TEMP B-TREE FOR LAST TERM OF ORDER BY");
                    assert_eq!(within_ties, sorts, "{shown}");
                    assert!(sorts || !plan.contains("TEMP B-TREE"), "{shown}");
                }
                Dialect::Postgres => {
                    assert!(plan.contains("universal_index_entries_pkey on universal_index_entries entry"), "{shown}");
                    assert!(plan.contains("universal_documents_pkey on universal_documents"), "{shown}");
                    assert!(!plan.contains("Seq Scan") && !plan.contains("Bitmap"), "{shown}");
                    assert!(
                        plan.lines().all(|line| !line
                            .trim_start()
                            .trim_start_matches("->")
                            .trim_start()
                            .starts_with("Sort  ")),
                        "{shown}"
                    );
                }
            }
            let found = node.collections.list(&system(), &node.name, &query).await.unwrap().value;
            match found.next_cursor {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
    }
}

async fn entries_are_those_that_would_be_made_afresh(node: &Node) {
    node.configure(&[("mine", &["-n", "done"], false), ("mail", &["mail"], true)]).await;
    node.build().await;
    node.fill(700).await;
    let mut writes = Vec::new();
    for n in 0..700_usize {
        let (id, body) =
            (DocumentId::new(format!("d{:05}", n * 7 % 900)).unwrap(), json!({"n": n % 11, "mail": n * 3 % 1500}));
        writes.push(async move {
            let (caller, body) = (system(), Object::from_value(body).unwrap());
            let outcome = match n % 4 {
                0 => node.collections.delete(&caller, &node.name, &id, Precondition::None).await,
                1 => node.collections.replace(&caller, &node.name, &id, body, Precondition::None).await.map(|_| ()),
                _ => node.collections.patch(&caller, &node.name, &id, body, Precondition::None).await.map(|_| ()),
            };
            if let Err(error) = outcome {
                assert!(["document-not-found", "unique-violation"].contains(&error.code()), "{error:?}");
            }
        });
    }
    futures_util::stream::iter(writes).for_each_concurrent(50, |write| write).await;
    node.configure(&[
        ("mine", &["-n", "done"], false),
        ("mail", &["mail"], true),
        ("mine_again", &["-n", "done"], false),
        ("mail_again", &["mail"], true),
    ])
    .await;
    node.build().await;
    let mine = node.entries("mine").await;
    assert_eq!(i64::try_from(mine.len()).unwrap(), node.count("universal_documents").await);
    assert_eq!(mine, node.entries("mine_again").await);
    assert_eq!(node.entries("mail").await, node.entries("mail_again").await);
}

async fn a_builder_goes_on_where_another_stopped(node: &Node) {
    node.fill(1_300).await;
    node.configure(&[("mine", &["n"], false)]).await;
    let progress = || async {
        let info = node.collections.settings(&system(), &node.name).await.unwrap();
        (info.indexes[0].state, info.indexes[0].documents)
    };
    assert_eq!(progress().await, (IndexState::Building, 0));
    while progress().await.1 == 0 {
        node.collections.index_builder().step().await.unwrap();
    }
    assert_eq!(progress().await, (IndexState::Building, 500));
    // What is not there yet is not used.
    let explanation = node.collections.explain(&system(), &node.name, &query("n == 1", ""), None).await.unwrap();
    assert!(explanation.index.is_none());
    node.build().await;
    assert_eq!(progress().await, (IndexState::Ready, 1_300));
    assert_eq!(node.entries("mine").await.len(), 1_300);
}

async fn what_is_taken_away_leaves_nothing(node: &Node) {
    node.fill(2_500).await;
    node.configure(&[("mine", &["n"], false)]).await;
    node.build().await;
    node.configure(&[]).await;
    node.build().await;
    // Whoever has just planned by the old settings still finds the entries.
    assert_eq!(node.count("universal_index_entries").await, 2_500);
    node.clock.advance(Duration::from_secs(11));
    node.build().await;
    assert_eq!((node.count("universal_index_entries").await, node.count("universal_indexes").await), (0, 0));
}

async fn a_page_ends_with_the_document_that_reaches_its_bytes(node: &Node) {
    for n in 0..5 {
        let body = Object::from_value(json!({"text": "x".repeat(if n == 4 { 5_000 } else { 1_000 })})).unwrap();
        let document = NewDocument::new(body).with_id(DocumentId::new(format!("d{n}")).unwrap());
        node.collections.create(&system(), &node.name, document).await.unwrap();
    }
    let (mut query, mut pages) = (ListQuery::new(), Vec::new());
    query.page_bytes = Some(2_500);
    loop {
        let page = node.collections.list(&system(), &node.name, &query).await.unwrap().value;
        pages.push(page.items.len());
        let Some(next) = page.next_cursor else { break };
        query.cursor = Some(next);
    }
    assert_eq!(pages, [3, 2]);
}

/// What an index leaves out is not found by what goes through it.
async fn writes_by_filter_and_counts_go_through_an_index(node: &Node) {
    node.fill(300).await;
    node.configure(&[("by_n", &["n"], false)]).await;
    node.build().await;
    let (caller, name) = (system(), &node.name);
    let entry = "tenant_id = 'default' AND index_id = (SELECT max(id) FROM universal_indexes)";
    let sql = format!("SELECT key FROM universal_index_entries WHERE {entry} AND tie = 'd00005'");
    let key: Vec<u8> = column(&node.database.one(&sql, vec![]).await.unwrap().unwrap(), 0).unwrap();
    let sql = format!("DELETE FROM universal_index_entries WHERE {entry} AND tie = 'd00005'");
    node.execute(&sql, vec![]).await;
    let marked = |filter: &'static str| async move {
        let matching = Matching::new(name.clone(), filter).unwrap();
        let patch = Object::patch_from_value(json!({"marks": {"$inc": 1}})).unwrap();
        node.collections.update_where(&system(), matching, patch).await.unwrap().changed
    };
    let counted = |filter: &'static str| async move {
        let query = query(filter, "").with_count(Counting::Exact);
        node.collections.list(&system(), name, &query).await.unwrap().value.count.unwrap().value
    };
    // 5, 102, 199 and 296 without the first.
    for filter in ["n == 5", "n > 4 && n < 6"] {
        assert_eq!((marked(filter).await, counted(filter).await), (3, 3), "{filter}");
    }
    let (collections, matching) = (Arc::clone(&node.collections), Matching::new(name.clone(), "n == 5").unwrap());
    let affected = node.database.transaction(move |tx| {
        Box::pin(async move { collections.write_where_in(tx, &caller, matching, MatchingWrite::Delete).await })
    });
    assert_eq!(affected.await.unwrap().changed, 3);
    // A part of an index that is too large to be put in the order of ids is not gone through.
    let sql = "WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n <= 20000)
        INSERT INTO universal_index_entries (tenant_id, index_id, key, tie)
        SELECT 'default', i.id, $1, 'none-' || many.n FROM many, (SELECT max(id) AS id FROM universal_indexes) AS i";
    node.execute(sql, vec![key.into()]).await;
    assert_eq!((marked("n > 4 && n < 6").await, marked("n == 5").await), (1, 0));
}

/// What is refused leaves nothing that a group of writes would have to be rolled back for.
#[cfg(feature = "sqlite")]
async fn a_refused_write_has_written_nothing(node: &Node) {
    node.configure(&[("mail", &["mail"], true)]).await;
    node.fill(3).await;
    let (_, known) = node.collections.before_read(system().tenant(), &node.name).await.unwrap();
    let (collection, now) = (node.name.clone(), node.clock.now());
    let body = || Object::from_value(json!({"mail": 2})).unwrap();
    let id = |id| DocumentId::new(id).unwrap();
    let created = |at| {
        let document = NewDocument::new(body()).with_id(id(at));
        DocumentWrite::Create { collection: collection.clone(), document }
    };
    let put = |at| {
        let (collection, precondition) = (collection.clone(), Precondition::None);
        DocumentWrite::Replace { collection, id: id(at), body: body(), precondition }
    };
    for (operation, refusal) in [
        (created("new"), Some("unique-violation")),
        (put("new"), Some("unique-violation")),
        (put("d00001"), Some("unique-violation")),
        // That its id is taken is told before what else is wrong with it.
        (created("d00001"), Some("document-exists")),
        (put("d00002"), None),
    ] {
        let (known, shared) = (known.clone(), Arc::new(operation));
        let outcome = node.database.write(move |write| {
            let (known, operation) = (known.clone(), Arc::clone(&shared));
            Box::pin(async move {
                let caller = system();
                let author = Author { caller: &caller, known: &known, now };
                let outcome = write::apply(write, author, &operation).await;
                Ok((outcome.err().map(|error| error.code()), write.changes() > 0))
            })
        });
        assert_eq!(outcome.await.unwrap(), (refusal, refusal.is_none()));
    }
}

macro_rules! on_sqlite {
    ($($case:ident),*) => {
        #[cfg(feature = "sqlite")]
        mod on_sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let options = super::OpenOptions::default();
                let database = super::Database::open_temporary(&options, super::signals()).await.unwrap();
                super::$case(&super::Node::on(database.clone())).await;
                database.shutdown().await;
            })*
        }
    };
}

on_sqlite!(
    lists_read_the_part_of_the_index_that_they_need,
    entries_are_those_that_would_be_made_afresh,
    a_builder_goes_on_where_another_stopped,
    what_is_taken_away_leaves_nothing,
    a_page_ends_with_the_document_that_reaches_its_bytes,
    writes_by_filter_and_counts_go_through_an_index,
    a_refused_write_has_written_nothing
);

/// Needs `UNIVERSAL_TEST_POSTGRES_URL`, a server on which databases may be made.
#[cfg(feature = "postgres")]
mod on_postgres {
    use sqlx::{Connection as _, Executor as _};
    use tokio::sync::oneshot;

    use super::*;

    /// A database that is there for one case.
    struct Server {
        url: String,
        name: String,
    }

    impl Server {
        async fn node() -> (Self, Node) {
            let named = |name| std::env::var(name).ok().filter(|url| !url.is_empty());
            let url = named("UNIVERSAL_TEST_POSTGRES_URL").or_else(|| named("UNIVERSAL_TEST_POSTGRES"));
            let url = url.expect("UNIVERSAL_TEST_POSTGRES_URL is the address of a server; tests/run starts one");
            let server = Self { url, name: format!("universal_index_{}", crate::id::random_hex(6).unwrap()) };
            server.execute(format!("CREATE DATABASE {}", server.name)).await;
            let url = format!("{}/{}", server.url.rsplit_once('/').unwrap().0, server.name);
            let database = Database::open_postgres(&url, &OpenOptions::default(), signals()).await.unwrap();
            (server, Node::on(database))
        }

        async fn execute(&self, sql: String) {
            let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
            connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        }

        async fn remove(self, node: Node) {
            node.database.shutdown().await;
            self.execute(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
        }
    }

    macro_rules! cases {
        ($($case:ident),*) => {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (server, node) = Server::node().await;
                super::$case(&node).await;
                server.remove(node).await;
            })*
        };
    }

    cases!(
        lists_read_the_part_of_the_index_that_they_need,
        entries_are_those_that_would_be_made_afresh,
        a_builder_goes_on_where_another_stopped,
        what_is_taken_away_leaves_nothing,
        a_page_ends_with_the_document_that_reaches_its_bytes,
        writes_by_filter_and_counts_go_through_an_index
    );

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_build_waits_for_those_who_do_not_know_of_it() {
        let (server, node) = Server::node().await;
        node.fill(10).await;
        let (written, has_written) = oneshot::channel();
        let (go_on, may_go_on) = oneshot::channel::<()>();
        let (collections, name, database) = (Arc::clone(&node.collections), node.name.clone(), node.database.clone());
        let late = tokio::spawn(async move {
            let late = database.transaction(move |tx| {
                Box::pin(async move {
                    let document = NewDocument::new(Object::parse(b"{\"n\":1}").unwrap());
                    let write = crate::collections::DocumentWrite::Create { collection: name, document };
                    collections.write_in(tx, &system(), write).await?;
                    written.send(()).unwrap();
                    may_go_on.await.unwrap();
                    Ok(())
                })
            });
            late.await
        });
        has_written.await.unwrap();
        node.configure(&[("mine", &["n"], false)]).await;
        for _ in 0..20 {
            assert_eq!(node.collections.index_builder().step().await.unwrap(), Step::Waiting);
        }
        go_on.send(()).unwrap();
        late.await.unwrap().unwrap();
        node.build().await;
        assert_eq!(node.entries("mine").await.len(), 11);
        server.remove(node).await;
    }
}
