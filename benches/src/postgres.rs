//! A PostgreSQL database for one run, and `pgbench` on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tokio::process::Command;

use crate::{
    documents::document,
    failure::Result,
    sample::Sample,
    usage::{Watched, postmaster},
};

/// How many connections `pgbench` opens: as many as the server does by itself.
const CLIENTS: usize = 16;
/// How much longer than asked it may take.
const GRACE: Duration = Duration::from_secs(60);

/// The table of documents with its second index, as the server has them.
const TABLE: &str = "
CREATE TABLE pgbench_documents (
    tenant_id text COLLATE \"C\" NOT NULL, collection text COLLATE \"C\" NOT NULL, id text COLLATE \"C\" NOT NULL,
    body jsonb NOT NULL, revision text NOT NULL, owner_id text COLLATE \"C\", created_at bigint NOT NULL,
    updated_at bigint NOT NULL, PRIMARY KEY (tenant_id, collection, id)
);
CREATE INDEX pgbench_documents_owner ON pgbench_documents (tenant_id, collection, owner_id, id);
";

/// A database that is there for one run.
#[derive(Debug)]
pub(crate) struct Database {
    server: String,
    name: String,
    pgbench: PathBuf,
    postmaster: Option<u32>,
}

impl Database {
    /// Makes it on the server of this URL.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; there is no `pgbench`.
    pub(crate) async fn create(url: &str, pgbench: Option<&Path>) -> Result<Self> {
        let pgbench = find(pgbench)?;
        let name = format!("universal_load_{}", std::process::id());
        let mut connection = PgConnection::connect(url).await?;
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut connection).await?;
        let postmaster = u32::try_from(backend).ok().and_then(postmaster);
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
        connection.close().await?;
        let database = Self { server: url.to_owned(), name, pgbench, postmaster };
        let prepared = database.prepare().await;
        match prepared {
            Ok(()) => Ok(database),
            Err(error) => {
                database.remove().await?;
                Err(error)
            }
        }
    }

    async fn prepare(&self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.url()).await?;
        sqlx::raw_sql(TABLE).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        let (place, parameters) = match self.server.split_once('?') {
            Some((place, parameters)) => (place, format!("?{parameters}")),
            None => (self.server.as_str(), String::new()),
        };
        let host = match place.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.split('/').next().unwrap_or_default()),
            None => place.to_owned(),
        };
        format!("{host}/{}{parameters}", self.name)
    }

    /// The process that PostgreSQL's others descend from, if it runs on this machine.
    pub(crate) fn postmaster(&self) -> Option<u32> {
        self.postmaster
    }

    /// Inserts rows with `pgbench` for `time`; the processor time is PostgreSQL's.
    ///
    /// # Errors
    /// `pgbench` fails or hangs.
    pub(crate) async fn pgbench(&self, folder: &Path, time: Duration) -> Result<Sample> {
        let script = folder.join("insert.sql");
        fs::write(&script, insert()?)?;
        let watched = Watched { process: std::process::id(), postmaster: self.postmaster };
        let before = watched.usage()?;
        let mut command = Command::new(&self.pgbench);
        command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--define=n=0"]);
        command.arg(format!("--client={CLIENTS}")).arg(format!("--time={}", time.as_secs().max(1)));
        command.arg("--file").arg(&script).arg(self.url());
        let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let hangs = |_| "pgbench does not end";
        let output = tokio::time::timeout(time + GRACE, running).await.map_err(hangs)??;
        let (_, database_cpu) = watched.usage()?.since(&before);
        if !output.status.success() {
            return Err(format!("pgbench: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        let said = String::from_utf8_lossy(&output.stdout);
        let count: u64 =
            number_after(&said, "number of transactions actually processed:").ok_or("pgbench: no count")?;
        let rate: f64 = number_after(&said, "tps =").ok_or("pgbench: no rate")?;
        let wall = Duration::try_from_secs_f64(f64::from(u32::try_from(count)?) / rate)?;
        Ok(Sample { count, wall, cpu: None, database_cpu })
    }

    /// Drops it.
    ///
    /// # Errors
    /// The server cannot be reached any more.
    pub(crate) async fn remove(self) -> Result<()> {
        let mut connection = PgConnection::connect(&self.server).await?;
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        connection.execute(AssertSqlSafe(drop)).await?;
        Ok(connection.close().await?)
    }
}

/// One row in a transaction of its own, with an id that is new, as long as a UUID and time-ordered.
fn insert() -> Result<String> {
    let body = document(1_000_000);
    // pgbench takes `:name` for a variable wherever it stands, in texts too, unless a space follows the colon.
    let body = std::str::from_utf8(&body)?.replace(':', ": ").replace("16: 30: 00Z", "1630Z");
    Ok(format!(
        "\\set n :n + 1\n\
         INSERT INTO pgbench_documents (tenant_id, collection, id, body, revision, owner_id, created_at, updated_at) \
         SELECT 'default', 'raw', lpad(to_hex(t.at), 16, '0') || '-' || lpad((:client_id)::int::text, 9, '0') || '-' \
         || lpad((:n)::bigint::text, 9, '0'), '{body}'::jsonb, '0123456789abcdef-1', \
         '01890a5d-ac96-774b-bcce-b302099a8057', t.at, t.at \
         FROM (SELECT (extract(epoch from clock_timestamp()) * 1000000)::bigint AS at) AS t;\n"
    ))
}

fn number_after<T: std::str::FromStr>(text: &str, label: &str) -> Option<T> {
    let (_, rest) = text.split_once(label)?;
    rest.split_ascii_whitespace().next()?.split('/').next()?.parse().ok()
}

fn find(wanted: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = wanted {
        return Ok(path.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join("pgbench"));
    // Debian keeps each version in a folder of its own, outside PATH.
    let mut installed: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.filter_map(|version| Some(version.ok()?.path().join("bin/pgbench"))).collect())
        .unwrap_or_default();
    installed.sort();
    let found = in_path.chain(installed.into_iter().rev()).find(|program| program.is_file());
    found.ok_or_else(|| "there is no pgbench; install PostgreSQL's own programs or give --pgbench PATH".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let url = |server: &str| {
            let database =
                Database { server: server.into(), name: "x".into(), pgbench: PathBuf::new(), postmaster: None };
            database.url()
        };
        assert_eq!(url("postgres://a@h:1/b"), "postgres://a@h:1/x");
        assert_eq!(url("postgres://a@h:1"), "postgres://a@h:1/x");
        assert_eq!(url("postgres://a@h/b?sslmode=disable"), "postgres://a@h/x?sslmode=disable");
    }

    #[test]
    fn what_pgbench_says() {
        let said = "number of transactions actually processed: 1234\ntps = 617.5 (without initial connection time)\n";
        assert_eq!(number_after(said, "number of transactions actually processed:"), Some(1234_u64));
        assert_eq!(number_after(said, "tps ="), Some(617.5));
    }
}
