//! A PostgreSQL of a test's own, which it may kill and start again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use sea_orm::Database;
use tempfile::TempDir;

use crate::{environment::program, server::free_port, wait};

/// A PostgreSQL on a port of its own; ended when dropped.
#[derive(Debug)]
pub struct PostgresServer {
    programs: PathBuf,
    user: Option<&'static str>,
    port: u16,
    folder: TempDir,
}

impl PostgresServer {
    /// One that answers. It waits for the disk like one in earnest.
    pub async fn started() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Self { programs: programs(), user: user(), port: free_port(), folder };
        let place = server.folder.path().join("postgres");
        fs::create_dir(&place).expect("a folder");
        if let Some(user) = server.user {
            // PostgreSQL's user must be able to pass through.
            run(Command::new("chmod").arg("711").arg(server.folder.path()));
            run(Command::new("chown").arg(user).arg(&place));
        }
        run(server
            .program("initdb")
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N", "-D"])
            .arg(server.data()));
        server.start().await;
        server
    }

    /// Starts it (again), and waits until it answers.
    pub async fn start(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c max_connections=100",
            self.port,
            self.folder.path().join("postgres").display()
        );
        let log = self.folder.path().join("postgres").join("log");
        run(self
            .program("pg_ctl")
            .arg("-D")
            .arg(self.data())
            .arg("-l")
            .arg(log)
            .args(["-w", "-t", "60", "-o", &options, "start"]));
        wait::until("PostgreSQL to answer", Duration::from_secs(30), || async {
            match Database::connect(self.url()).await {
                Ok(connection) => connection.close().await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }

    /// Ends it at once, as a loss of power does: connections break, and it recovers from its log when it starts.
    pub fn kill(&self) {
        run(self.program("pg_ctl").arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]));
    }

    /// The address of its first database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("postgres").join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = match self.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(path);
                command
            }
            None => Command::new(path),
        };
        command.current_dir("/");
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        stop.arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]);
        stop.stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

/// The folder of PostgreSQL's programs.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("UNIVERSAL_TEST_POSTGRES_BIN").filter(|folder| !folder.is_empty()) {
        return folder.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|version| version.path().join("bin")).filter(|folder| folder.join("initdb").is_file());
    if let Some(folder) = folders.max() {
        return folder;
    }
    let initdb = program("UNIVERSAL_TEST_POSTGRES_INITDB", &["initdb"]);
    initdb.parent().map(Path::to_path_buf).expect("a program lies in a folder")
}

/// PostgreSQL does not run as root: whom it runs as instead.
fn user() -> Option<&'static str> {
    let id = Command::new("id").arg("-u").output().expect("the id command");
    if id.stdout.trim_ascii() != b"0" {
        return None;
    }
    let known = Command::new("id").arg("postgres").output().expect("the id command").status.success();
    Some(if known { "postgres" } else { "nobody" })
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
