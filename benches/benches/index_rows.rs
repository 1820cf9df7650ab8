//! Indexes as rows beside native expression indexes, and lists of a small and of a large collection.
//!
//! `cargo bench -p universal-benches --bench index_rows -- [postgres://server/database] [documents] [many]`
//! makes a database for each figure and drops it. See docs/decisions/0011-indexes-are-rows.md.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Row as _};
use universal_core::{
    Backend, Caller, TenantId,
    collections::{Batch, CollectionSettings, IndexSettings, IndexState, ListQuery, NewDocument},
    id::{CollectionName, DocumentId},
    json::Object,
    page::Limit,
    secret::MasterKey,
    settings::Settings,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

const BATCH: usize = 500;
const READS: usize = 300;

/// Which index the documents have.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    None,
    Rows,
    Native,
}

/// A database for one measurement.
struct Place {
    backend: Backend,
    /// For statements of our own.
    url: String,
    postgres: Option<(String, String)>,
    _folder: tempfile::TempDir,
}

impl Place {
    async fn open(server: Option<&str>) -> Result<Self> {
        let folder = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
        let mut settings = Settings::default();
        settings.data = folder.path().to_owned();
        let Some(server) = server else {
            let backend = Backend::builder().with_settings(settings).build().await?;
            let url = format!("sqlite:{}", folder.path().join("universal.sqlite").display());
            return Ok(Self { backend, url, postgres: None, _folder: folder });
        };
        let name = format!("universal_index_{}", std::process::id());
        let mut connection = AnyConnection::connect(server).await?;
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name}"))).execute(&mut connection).await?;
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut connection).await?;
        let url = format!("{}/{name}", server.rsplit_once('/').ok_or("the URL names no database")?.0);
        settings.database_url = Some(url.clone().into());
        let backend =
            Backend::builder().with_settings(settings).with_master_key(MasterKey::generate()?).build().await?;
        Ok(Self { backend, url, postgres: Some((server.to_owned(), name)), _folder: folder })
    }

    async fn close(self) -> Result<()> {
        self.backend.shutdown().await;
        if let Some((server, name)) = &self.postgres {
            let mut connection = AnyConnection::connect(server).await?;
            sqlx::query(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).execute(&mut connection).await?;
        }
        Ok(())
    }

    async fn sql(&self) -> Result<AnyConnection> {
        Ok(AnyConnection::connect(&self.url).await?)
    }

    /// Documents of about 200 bytes with a priority that repeats and a code that does not; how long one took.
    async fn fill(&self, name: &CollectionName, documents: usize) -> Result<Duration> {
        let begun = Instant::now();
        for first in (0..documents).step_by(BATCH) {
            let mut batch = Batch::new();
            for n in first..(first + BATCH).min(documents) {
                // Spread over the whole range in no order, as a hash is.
                let code = (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
                let body =
                    json!({"priority": code % 100_000, "code": code, "done": n % 2 == 0, "text": "x".repeat(120)});
                let document = NewDocument::new(Object::from_value(body)?).with_id(DocumentId::generate());
                batch = batch.create(name, document);
            }
            self.backend.collections().batch(&system(), batch).await?;
        }
        Ok(begun.elapsed() / u32::try_from(documents)?)
    }

    async fn index(&self, name: &CollectionName, fields: &[&str]) -> Result<()> {
        let settings = CollectionSettings::new().with_index("by_priority", IndexSettings::on(fields.iter().copied()));
        self.backend.collections().configure(&system(), name, settings, None).await?;
        loop {
            let info = self.backend.collections().settings(&system(), name).await?;
            if info.indexes.iter().all(|index| index.state == IndexState::Ready) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn native(&self) -> Result<()> {
        let sql =
            format!("CREATE INDEX native ON universal_documents (tenant_id, collection, {} DESC, id)", self.priority());
        sqlx::query(AssertSqlSafe(sql)).execute(&mut self.sql().await?).await?;
        Ok(())
    }

    /// The native expression; one that PostgreSQL orders as numbers.
    fn priority(&self) -> &'static str {
        if self.postgres.is_some() { "((body->>'priority')::bigint)" } else { "json_extract(body, '$.priority')" }
    }

    /// Bytes on disk: of the entries with their key, or of the native index.
    async fn size(&self, kind: Kind) -> Result<i64> {
        let table = if kind == Kind::Rows { "universal_index_entries" } else { "native" };
        let sql = match &self.postgres {
            Some(_) => format!("SELECT pg_total_relation_size('{table}')"),
            None => format!("SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = '{table}'"),
        };
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut self.sql().await?).await;
        Ok(row.and_then(|row| row.try_get(0)).unwrap_or(-1))
    }

    /// The median of a statement that is run over and over from another priority on.
    async fn median(&self, kind: Kind, sql: &str) -> Result<Duration> {
        let mut connection = self.sql().await?;
        let mut times = Vec::with_capacity(READS);
        for n in 0..READS {
            let priority = i64::try_from(n * 331 % 90_000 + 5_000)?;
            let begun = Instant::now();
            let query = sqlx::query(AssertSqlSafe(sql.to_owned()));
            let query = if kind == Kind::Rows { query.bind(key(priority)) } else { query.bind(priority) };
            let rows = query.fetch_all(&mut connection).await?;
            times.push(begun.elapsed());
            assert!(!rows.is_empty(), "{sql} found nothing");
        }
        Ok(median(times))
    }

    /// The median of a list through the backend.
    async fn list(&self, name: &CollectionName, filter: &str, sort: &str) -> Result<Duration> {
        let query = ListQuery::new().with_filter(filter)?.with_sort(sort)?.with_limit(Limit::new(30)?);
        let mut times = Vec::with_capacity(READS);
        for _ in 0..READS {
            let begun = Instant::now();
            let page = self.backend.collections().list(&system(), name, &query).await?.value;
            times.push(begun.elapsed());
            assert_eq!(page.items.len(), 30);
        }
        Ok(median(times))
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The key of a priority in the index `-priority` (`universal_core`'s `json/key.rs`).
fn key(priority: i64) -> Vec<u8> {
    let bits = (priority as f64).to_bits() | 1 << 63;
    let parts = [&[5][..], &bits.to_be_bytes(), &[0, 0]];
    parts.concat().into_iter().map(|byte: u8| !byte).collect()
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

async fn compare(server: Option<&str>, documents: usize) -> Result<()> {
    println!("| index | insert, µs a document | page of 30, µs | lookup, µs | size, MB |\n|---|---:|---:|---:|---:|");
    let name: CollectionName = "todos".parse()?;
    for kind in [Kind::None, Kind::Native, Kind::Rows] {
        let place = Place::open(server).await?;
        match kind {
            Kind::None => {}
            Kind::Native => place.native().await?,
            Kind::Rows => place.index(&name, &["-priority"]).await?,
        }
        let insert = place.fill(&name, documents).await?;
        if server.is_some() {
            sqlx::query("VACUUM ANALYZE").execute(&mut place.sql().await?).await?;
        }
        let body = if server.is_some() { "body::text" } else { "body" };
        let own = "tenant_id = 'default' AND collection = 'todos'";
        let priority = place.priority();
        let (page, lookup) = if kind == Kind::Rows {
            // The statement of a list, with the range of keys that the planner makes.
            let entry = "entry.tenant_id = 'default' AND entry.index_id = (SELECT id FROM universal_indexes)";
            let from = if server.is_some() {
                format!(
                    "SELECT id, {body} FROM universal_index_entries AS entry CROSS JOIN LATERAL (
                        SELECT * FROM universal_documents WHERE {own} AND id = entry.tie OFFSET 0) AS d WHERE {entry}"
                )
            } else {
                format!(
                    "SELECT id, {body} FROM universal_index_entries AS entry CROSS JOIN universal_documents AS d
                     WHERE {entry} AND d.{own} AND id = entry.tie"
                )
            };
            (
                format!("{from} AND entry.key >= $1 ORDER BY entry.key, entry.tie LIMIT 30"),
                format!("{from} AND entry.key >= $1 ORDER BY entry.key, entry.tie LIMIT 1"),
            )
        } else {
            let from = format!("SELECT id, {body} FROM universal_documents WHERE {own} AND {priority} <= $1");
            let order = format!("ORDER BY {priority} DESC, id");
            (format!("{from} {order} LIMIT 30"), format!("{from} {order} LIMIT 1"))
        };
        let page = place.median(kind, &page).await?;
        let lookup = place.median(kind, &lookup).await?;
        let size = place.size(kind).await?;
        println!(
            "| {kind:?} | {:.1} | {:.0} | {:.0} | {:.1} |",
            insert.as_secs_f64() * 1e6,
            page.as_secs_f64() * 1e6,
            lookup.as_secs_f64() * 1e6,
            size as f64 / 1e6
        );
        place.close().await?;
    }
    Ok(())
}

/// The same list in a small and in a large collection.
async fn grow(server: Option<&str>, many: usize) -> Result<()> {
    println!("\n| documents | filter and sort, µs | filter, µs |\n|---:|---:|---:|");
    for documents in [10_000, many] {
        let (place, name) = (Place::open(server).await?, "todos".parse()?);
        place.index(&name, &["done", "-priority"]).await?;
        place.fill(&name, documents).await?;
        let both = place.list(&name, "done == false", "-priority").await?;
        let range = place.list(&name, "done == true && priority < 90000", "-priority").await?;
        println!("| {documents} | {:.0} | {:.0} |", both.as_secs_f64() * 1e6, range.as_secs_f64() * 1e6);
        place.close().await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    sqlx::any::install_default_drivers();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let server = arguments.iter().find(|argument| argument.starts_with("postgres"));
    let numbers: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let server = server.map(String::as_str);
    compare(server, numbers.first().copied().unwrap_or(100_000)).await?;
    grow(server, numbers.get(1).copied().unwrap_or(1_000_000)).await
}
