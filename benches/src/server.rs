//! The bundled server, in a process of its own.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use http::HeaderValue;
use serde_json::{Value, json};

use crate::{
    client::{Call, Connection},
    failure::Result,
    process::Process,
};

/// How long it may take to be ready.
const START: Duration = Duration::from_secs(60);
/// A master key for a database that is dropped at the end.
const MASTER_KEY: &str = "5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f0c5d1f";
const EMAIL: &str = "load@example.test";
/// The one who sets collections up; what is measured is asked by the other.
const ADMIN: &str = "admin@example.test";
const PASSWORD: &str = "correct horse battery staple";

/// A running server with an account on it.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    address: SocketAddr,
    log: PathBuf,
}

impl Server {
    /// Starts it on a free port, with its data in `folder` or on the PostgreSQL database of this URL, and registers
    /// the account.
    ///
    /// # Errors
    /// The program is not there or does not become ready; what it last said is in the error.
    pub(crate) async fn start(program: &Path, folder: &Path, postgres: Option<&str>) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = folder.join("log");
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let name_text = name.to_string_lossy();
            if name_text.starts_with("UNIVERSAL_") || ["DATABASE_URL", "REDIS_URL", "RUST_LOG"].contains(&&*name_text) {
                command.env_remove(&name);
            }
        }
        command.current_dir(folder).env("PORT", port.to_string()).env("UNIVERSAL_DATA", folder.join("data"));
        command.env("UNIVERSAL_ADMIN_EMAIL", ADMIN).env("UNIVERSAL_ADMIN_PASSWORD", PASSWORD);
        if let Some(url) = postgres {
            command.env("DATABASE_URL", url).env("UNIVERSAL_MASTER_KEY", MASTER_KEY);
        }
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let process = Process::start(&mut command)?;
        let mut server = Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)), log };
        server.ready().await?;
        server.account("/auth/register", EMAIL, 201).await?;
        Ok(server)
    }

    async fn ready(&mut self) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < START && !self.process.ended() {
            if let Ok(mut connection) = Connection::open(self.address, None).await
                && let Ok(answer) = connection.send(Call::get("/readyz")).await
                && answer.status == 200
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(format!("the server is not ready; its log ends with:\n{}", self.log_end()).into())
    }

    /// A fresh access token, as the header's value.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn sign_in(&self) -> Result<HeaderValue> {
        self.account("/auth/login", EMAIL, 200).await
    }

    /// Access tokens of so many users.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn sign_in_many(&self, users: usize) -> Result<Vec<String>> {
        let mut tokens = Vec::new();
        for user in 0..users {
            let email = format!("load-{user}@example.test");
            let answer = match self.account("/auth/login", &email, 200).await {
                Ok(answer) => answer,
                Err(_) => self.account("/auth/register", &email, 201).await?,
            };
            tokens.push(answer.to_str()?.trim_start_matches("Bearer ").to_owned());
        }
        Ok(tokens)
    }

    /// Gives a collection its settings.
    ///
    /// # Errors
    /// The server refuses.
    pub(crate) async fn configure(&self, collection: &str, settings: &str) -> Result<()> {
        let token = self.account("/auth/login", ADMIN, 200).await?;
        let mut connection = Connection::open(self.address, Some(token)).await?;
        let call = Call::put(format!("/admin/collections/{collection}"), settings.to_owned());
        connection.send(call).await?.expect(200).map(|_| ())
    }

    async fn account(&self, path: &str, email: &str, status: u16) -> Result<HeaderValue> {
        let mut connection = Connection::open(self.address, None).await?;
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let answer = connection.send(Call::post(path, body)).await?.expect(status)?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let token = answer.get("access_token").and_then(Value::as_str).ok_or("the answer holds no access_token")?;
        Ok(HeaderValue::try_from(format!("Bearer {token}"))?)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The last lines of its log.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let from = text.char_indices().rev().nth(2000).map_or(0, |(at, _)| at);
        text.get(from..).unwrap_or_default().to_owned()
    }
}

/// The bundled server's program, built with the same profile as this one.
///
/// # Errors
/// It is not built.
pub(crate) fn program(wanted: Option<&Path>) -> Result<PathBuf> {
    let program = match wanted {
        Some(path) => path.to_owned(),
        None => beside_us()?.join("examples").join("server"),
    };
    if program.is_file() {
        // It runs in another folder.
        return Ok(fs::canonicalize(program)?);
    }
    let build = "cargo build -p universal-examples --example server";
    Err(format!("{} is not built; run `{build}` with this program's profile", program.display()).into())
}

/// The folder of this program.
///
/// # Errors
/// The program has no path.
pub(crate) fn beside_us() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.parent().ok_or("this program lies nowhere")?.to_owned())
}
