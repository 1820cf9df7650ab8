//! The bundled example server as a process of its own, which a test may kill and start again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, OpenOptions},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    client::Client,
    environment::example,
    postgres::{MASTER_KEY, TestDatabase},
    process::signal,
    wait,
};

/// The address of the first administrator of every test server.
pub const ADMIN_EMAIL: &str = "admin@example.test";
/// The password of the first administrator of every test server.
pub const ADMIN_PASSWORD: &str = "correct horse battery staple";

/// A running server with a folder of its own; killed when dropped.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    port: u16,
    settings: BTreeMap<String, String>,
    folder: TempDir,
    child: Mutex<Option<Child>>,
    database: Option<TestDatabase>,
    mount: &'static str,
}

impl Server {
    /// The example server on SQLite, with its data in a temporary folder.
    pub async fn sqlite() -> Self {
        Self::prepare("server", None).started().await
    }

    /// The example server on a PostgreSQL database of its own.
    pub async fn postgres() -> Self {
        Self::prepare("server", Some(TestDatabase::migrated().await)).started().await
    }

    /// The example program `name`, not started yet.
    #[must_use]
    pub fn prepare(name: &str, database: Option<TestDatabase>) -> Self {
        let mut settings = BTreeMap::from([
            ("UNIVERSAL_ADMIN_EMAIL".to_owned(), ADMIN_EMAIL.to_owned()),
            ("UNIVERSAL_ADMIN_PASSWORD".to_owned(), ADMIN_PASSWORD.to_owned()),
        ]);
        if let Some(database) = &database {
            settings.insert("DATABASE_URL".to_owned(), database.url());
            settings.insert("UNIVERSAL_MASTER_KEY".to_owned(), MASTER_KEY.to_owned());
        }
        Self {
            program: example(name),
            port: free_port(),
            settings,
            folder: tempfile::tempdir().expect("a temporary folder"),
            child: Mutex::new(None),
            database,
            mount: "",
        }
    }

    /// The same server, whose backend is mounted at `path`.
    #[must_use]
    pub fn mounted(mut self, path: &'static str) -> Self {
        self.mount = path;
        self
    }

    /// The same server with this environment variable.
    #[must_use]
    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Self {
        self.settings.insert(variable.to_owned(), value.into());
        self
    }

    /// Started, and ready to answer.
    pub async fn started(self) -> Self {
        self.start().await;
        self
    }

    /// Starts it (again) on the same port and data, and waits until it is ready.
    pub async fn start(&self) {
        self.spawn();
        self.ready().await;
    }

    fn spawn(&self) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).expect("a log file");
        let child = Command::new(&self.program)
            .current_dir(self.folder.path())
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env("PORT", self.port.to_string())
            .envs(&self.settings)
            .stdin(Stdio::null())
            .stdout(File::try_clone(&log).expect("a second handle"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let before = self.slot().replace(child);
        assert!(before.is_none(), "the server runs already");
    }

    async fn ready(&self) {
        let client = self.client();
        wait::until_some("the server to be ready", Duration::from_secs(60), || async {
            if let Some(status) = self.exited() {
                panic!("the server ended with {status} instead of starting; its log:\n{}", self.log());
            }
            client.get("/readyz").await.ok().filter(|answer| answer.status == 200).map(|_| ())
        })
        .await;
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder it runs in; SQLite keeps its data in `data` below.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The PostgreSQL database it uses, if it does.
    #[must_use]
    pub fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// What it has written to its output so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// How much memory the process holds.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[must_use]
    pub fn memory(&self) -> Memory {
        let id = self.slot().as_ref().expect("a running server").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("/proc");
        let kilobytes = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line of /proc/<id>/status");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        Memory { present: kilobytes("VmRSS:") * 1024, most: kilobytes("VmHWM:") * 1024 }
    }

    /// The ports of the clients to which it holds an open connection over IPv4, whether or not they have heard of its end.
    ///
    /// # Panics
    ///
    /// Where there is no `/proc`.
    #[must_use]
    pub fn connected(&self) -> BTreeSet<u16> {
        // Of `local_address`, `rem_address` and `st` in proc_pid_net(5); 01 is an established connection.
        let here = format!(":{:04X}", self.port);
        let table = fs::read_to_string("/proc/net/tcp").expect("/proc");
        let open = table.lines().filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
            let (_, port) = remote.split_once(':')?;
            (local.ends_with(&here) && state == "01").then(|| u16::from_str_radix(port, 16).ok())?
        });
        open.collect()
    }

    /// A client of the backend, without credentials.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&format!("{}{}", self.url(), self.mount))
    }

    /// A client signed in as the first administrator.
    pub async fn admin(&self) -> Client {
        self.client().login(ADMIN_EMAIL, ADMIN_PASSWORD).await
    }

    /// `kill -9`: no time to say goodbye.
    pub fn kill(&self) {
        let mut child = self.slot().take().expect("a running server");
        child.kill().expect("a process of ours");
        child.wait().expect("a process of ours");
    }

    /// Stops the process without ending it: its connections stay open, and nothing answers.
    pub fn freeze(&self) {
        signal(self.slot().as_ref().expect("a running server").id(), "STOP");
    }

    /// Lets a frozen process go on.
    pub fn thaw(&self) {
        signal(self.slot().as_ref().expect("a running server").id(), "CONT");
    }

    /// `kill -TERM`, and waits until it has ended by itself.
    pub async fn stop(&self) -> ExitStatus {
        self.terminate();
        self.ended().await
    }

    /// `kill -TERM`, and does not wait.
    pub fn terminate(&self) {
        signal(self.slot().as_ref().expect("a running server").id(), "TERM");
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&self) -> ExitStatus {
        let status = wait::until_some("the server to stop", Duration::from_secs(40), || async { self.exited() }).await;
        self.slot().take();
        status
    }

    fn exited(&self) -> Option<ExitStatus> {
        self.slot().as_mut().and_then(|child| child.try_wait().expect("a process of ours"))
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.slot().take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- the end of the log of {}:\n{}", self.program.display(), log.get(from..).unwrap_or_default());
        }
    }
}

/// The memory of a process, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What it holds now.
    pub present: u64,
    /// The most it has held since it was started.
    pub most: u64,
}

/// A port that was free a moment ago.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.local_addr().expect("a bound listener").port()
}
