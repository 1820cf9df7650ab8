//! What the programs that serve have in common: settings from the environment, a listener, a graceful stop.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use secrecy::SecretString;
use tokio::{net::TcpListener, signal};
use tracing_subscriber::EnvFilter;
use universal_core::{Backend, Error, Settings};
use universal_http::{
    Api,
    serve::{ServeOptions, serve},
};

use crate::{api, functions};

/// How long streams have to end after the stop.
const STREAMS: Duration = Duration::from_secs(5);

/// Why a program could not run.
#[derive(Debug)]
pub enum Failure {
    /// The backend could not be opened.
    Backend(Error),
    /// The listener could not be opened.
    Listen(SocketAddr, io::Error),
    /// Something else of the operating system.
    Io(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend(error) => {
                write!(f, "{error}")?;
                // This is the operator's terminal, not an answer to a stranger: the cause may be shown.
                let mut cause = std::error::Error::source(error);
                while let Some(below) = cause {
                    write!(f, ": {below}")?;
                    cause = below.source();
                }
                Ok(())
            }
            Self::Listen(address, error) => write!(f, "cannot listen on {address} ({error}); set PORT to a free port"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Backend(error)
    }
}

/// A program about to serve.
#[derive(Debug)]
pub struct Program {
    backend: Backend,
    api: Api,
    listener: TcpListener,
    address: SocketAddr,
}

impl Program {
    /// Settings from the environment, the backend, and the listener, in this order. `mount` is the path below which the API will be.
    ///
    /// # Errors
    /// A setting that is not valid, a database that cannot be reached, a port that is taken.
    pub async fn prepare(mount: &str) -> Result<Self, Failure> {
        let settings = Settings::from_env()?;
        let wished: SocketAddr = match format!("{}:{}", settings.host, settings.port).parse() {
            Ok(address) => address,
            Err(_) => {
                let message = "UNIVERSAL_HOST is an IP address such as 127.0.0.1 or 0.0.0.0";
                return Err(Error::invalid("invalid-settings", message).with_field("UNIVERSAL_HOST").into());
            }
        };
        // The port first: a second start by mistake should not touch the database.
        let listener = TcpListener::bind(wished).await.map_err(|error| Failure::Listen(wished, error))?;
        let address = listener.local_addr().map_err(Failure::Io)?;
        let admin = settings.admin_email.clone().zip(settings.admin_password.clone());
        let public_url = settings.public_url.clone();
        let backend =
            Backend::builder().with_settings(settings).with_functions(functions::functions()?).build().await?;
        if let Some((email, password)) = admin {
            first_admin(&backend, &email, &password).await?;
        }
        let public_url = public_url.unwrap_or_else(|| format!("http://{address}{mount}"));
        let api = api::of(&backend).public_url(public_url).build()?;
        Ok(Self { backend, api, listener, address })
    }

    /// The HTTP services.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// Says where it listens and what it stands on.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn announce(&self, name: &str) -> Result<(), Failure> {
        let summary = self.backend.summary();
        let mut out = io::stdout().lock();
        writeln!(out, "{name} listens on http://{}", self.address)
            .and_then(|()| writeln!(out, "  database  {}", summary.database))
            .and_then(|()| writeln!(out, "  files     {}", summary.files))
            .and_then(|()| writeln!(out, "  mail      {}", summary.mail))
            .and_then(|()| writeln!(out, "  nodes     {}", summary.bus))
            .and_then(|()| writeln!(out, "  stop with Ctrl-C"))
            .map_err(Failure::Io)
    }

    /// Serves `service` until Ctrl-C or SIGTERM, then lets requests, streams and jobs end.
    ///
    /// # Errors
    /// The operating system does not let us wait for signals.
    pub async fn serve<S, R>(self, service: S) -> Result<(), Failure>
    where
        S: tower::Service<
                http::Request<universal_http::body::RequestBody>,
                Response = http::Response<R>,
                Error = std::convert::Infallible,
            > + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        R: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        R::Error: Into<universal_http::body::BoxError>,
    {
        let stop = stop_signal().map_err(Failure::Io)?;
        let api = self.api.clone();
        serve(self.listener, service, ServeOptions::default(), async move {
            stop.await;
            tracing::info!("stopping");
            api.close();
        })
        .await;
        if tokio::time::timeout(STREAMS, self.api.closed()).await.is_err() {
            tracing::warn!("some realtime connections did not end in time");
        }
        self.backend.shutdown().await;
        tracing::info!("stopped");
        Ok(())
    }
}

async fn first_admin(backend: &Backend, email: &str, password: &SecretString) -> Result<(), Error> {
    let user = backend.create_admin(email, password).await?;
    tracing::info!(user.id = %user.id, "administrator");
    Ok(())
}

/// Resolves at Ctrl-C or, where there is such a thing, SIGTERM.
///
/// # Errors
/// The operating system refuses.
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send> {
    #[cfg(unix)]
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    Ok(async move {
        #[cfg(unix)]
        tokio::select! {
            _ = signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        #[cfg(not(unix))]
        signal::ctrl_c().await.ok();
    })
}

/// Log lines to standard error; `RUST_LOG` chooses them. The programs do this, the libraries never do.
pub fn install_log() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm_migration=warn"));
    let colours = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(io::stderr).init();
}

/// The exit code of a program, after a word about what went wrong.
#[must_use]
pub fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With no standard error left there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {failure}");
            ExitCode::FAILURE
        }
    }
}
