//! E-mail by SMTP.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, MultiPart, SinglePart},
    transport::smtp::{
        PoolConfig,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    error::{Error, ErrorKind, Result},
    jobs::{Address, Email, Mailer},
};

/// How long the server may take for one step.
const STEP_LIMIT: Duration = Duration::from_secs(20);
/// How many connections are open at most.
const CONNECTIONS: u32 = 4;

/// How the connection to the server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SmtpSecurity {
    /// TLS from the first byte, usually port 465.
    Implicit,
    /// TLS after `STARTTLS`, usually port 587; a server that does not offer it is refused.
    #[default]
    StartTls,
    /// None. Only for a server on this machine: another is refused.
    None,
}

/// Which server takes the mail.
#[derive(Clone)]
#[non_exhaustive]
pub struct SmtpSettings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// The user and the password, if the server wants them.
    pub credentials: Option<(String, SecretString)>,
    /// The sender of every mail.
    pub from: Address,
    /// The sender's display name.
    pub from_name: Option<String>,
}

impl SmtpSettings {
    /// A server with `STARTTLS` on port 587.
    #[must_use]
    pub fn new(host: impl Into<String>, from: Address) -> Self {
        let security = SmtpSecurity::StartTls;
        Self { host: host.into(), port: 587, security, credentials: None, from, from_name: None }
    }

    /// A server by its URL: `smtp://user:password@host:port` (`STARTTLS`, port 587; without TLS if the host is this machine),
    /// `smtps://…` (TLS from the first byte, port 465) or `smtp+plain://127.0.0.1:25` (none, only on this machine). User and
    /// password are percent-encoded. The sender is an address or `Name <address>`.
    ///
    /// # Errors
    /// `Invalid` (`invalid-smtp-settings`, `invalid-email-address`); the text of the URL is not repeated, it may hold a password.
    pub fn from_url(url: &SecretString, from: &str) -> Result<Self> {
        let bad = || {
            Error::invalid(
                "invalid-smtp-settings",
                "an SMTP URL is smtp://user:password@host:port, smtps://… or smtp+plain://127.0.0.1:port",
            )
        };
        let (scheme, rest) = url.expose_secret().split_once("://").ok_or_else(bad)?;
        let (account, place) = match rest.trim_end_matches('/').rsplit_once('@') {
            Some((account, place)) => (Some(account), place),
            None => (None, rest.trim_end_matches('/')),
        };
        // An IPv6 address stands in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse::<u16>().map_err(|_| bad())?)),
            _ => (place, None),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(bad());
        }
        let (security, usual) = match scheme {
            "smtps" => (SmtpSecurity::Implicit, 465),
            "smtp+plain" => (SmtpSecurity::None, 25),
            "smtp" if is_loopback(host) => (SmtpSecurity::None, 587),
            "smtp" => (SmtpSecurity::StartTls, 587),
            _ => return Err(bad()),
        };
        let (name, address) = match from.trim().strip_suffix('>').and_then(|from| from.split_once('<')) {
            Some((name, address)) => (Some(name.trim().trim_matches('"')), address),
            None => (None, from.trim()),
        };
        let mut settings =
            Self::new(host, Address::new(address)?).with_port(port.unwrap_or(usual)).with_security(security);
        settings.from_name = name.filter(|name| !name.is_empty()).map(str::to_owned);
        if let Some(account) = account {
            let (user, password) = account.split_once(':').ok_or_else(bad)?;
            let plain = |text| percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| bad());
            settings = settings.with_credentials(plain(user)?, SecretString::from(plain(password)?.into_owned()));
        }
        Ok(settings)
    }

    /// The same with another port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The same with another protection.
    #[must_use]
    pub fn with_security(mut self, security: SmtpSecurity) -> Self {
        self.security = security;
        self
    }

    /// The same with a user and a password.
    #[must_use]
    pub fn with_credentials(mut self, user: impl Into<String>, password: SecretString) -> Self {
        self.credentials = Some((user.into(), password));
        self
    }

    /// The same with a display name for the sender.
    #[must_use]
    pub fn with_from_name(mut self, name: impl Into<String>) -> Self {
        self.from_name = Some(name.into());
        self
    }
}

/// Without the password and the sender.
impl fmt::Debug for SmtpSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpSettings")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .finish_non_exhaustive()
    }
}

/// A mailer that speaks SMTP. It keeps a few connections open and opens none before the first mail.
pub struct SmtpMailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    domain: String,
}

impl SmtpMailer {
    /// A mailer for a server.
    ///
    /// # Errors
    /// `Invalid` for settings that cannot work: an unprotected connection to another machine, a display name with
    /// control characters, a host that is no name.
    pub fn new(settings: &SmtpSettings) -> Result<Self> {
        let host = settings.host.as_str();
        let bad = |message: &str| Error::invalid("invalid-smtp-settings", message);
        let tls = || {
            TlsParameters::new(host.to_owned()).map_err(|error| bad("the SMTP host is not a name").with_source(error))
        };
        let security = match settings.security {
            SmtpSecurity::Implicit => Tls::Wrapper(tls()?),
            SmtpSecurity::StartTls => Tls::Required(tls()?),
            SmtpSecurity::None if is_loopback(host) => Tls::None,
            SmtpSecurity::None => {
                return Err(bad("SMTP without TLS is for a server on this machine (127.0.0.1, ::1 or localhost)"));
            }
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(settings.port)
            .tls(security)
            .timeout(Some(STEP_LIMIT))
            .pool_config(PoolConfig::new().max_size(CONNECTIONS).idle_timeout(Duration::from_secs(30)));
        if let Some((user, password)) = &settings.credentials {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        if settings.from_name.as_ref().is_some_and(|name| name.chars().any(char::is_control)) {
            return Err(bad("the sender's display name is one line"));
        }
        Ok(Self {
            transport: builder.build(),
            from: Mailbox::new(settings.from_name.clone(), mailbox(&settings.from)?),
            domain: settings.from.domain().to_owned(),
        })
    }

    fn message(&self, email: &Email) -> Result<Message> {
        let builder = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, mailbox(&email.to)?))
            .subject(email.subject.as_str())
            .message_id(email.key().map(|key| format!("<{key}@{}>", self.domain)));
        let message = match &email.html {
            None => builder.singlepart(SinglePart::plain(email.text.clone())),
            Some(html) => builder.multipart(MultiPart::alternative_plain_html(email.text.clone(), html.clone())),
        };
        message.map_err(Error::internal)
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, email: &Email) -> Result<()> {
        let message = self.message(email)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => {
                Err(Error::invalid("email-refused", "the mail server refuses this mail").with_source(error))
            }
            Err(error) => Err(Error::new(
                ErrorKind::Unavailable,
                "email-unavailable",
                "the mail server cannot take the mail now; check the SMTP settings if this lasts",
            )
            .with_source(error)),
        }
    }
}

impl fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpMailer").finish_non_exhaustive()
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn mailbox(address: &Address) -> Result<lettre::Address> {
    address.as_str().parse().map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        process::{Child, Command, Stdio},
        sync::Arc,
        time::Duration,
    };

    use super::{SmtpMailer, SmtpSecurity, SmtpSettings};
    use crate::{
        error::ErrorKind,
        jobs::{Address, Email, Functions, Mailer as _, SEND_EMAIL, Subject, register_send_email},
    };

    /// A real SMTP server (aiosmtpd) that keeps its mails in a maildir; ended when dropped.
    struct Server {
        process: Child,
        port: u16,
        folder: tempfile::TempDir,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    impl Server {
        /// `UNIVERSAL_TEST_SMTP` is its command.
        async fn start() -> Self {
            let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let command = std::env::var("UNIVERSAL_TEST_SMTP").unwrap_or_else(|_| "aiosmtpd".to_owned());
            let mut words = command.split_whitespace();
            let process = Command::new(words.next().unwrap_or_default())
                .args(words)
                .args(["-n", "-l", &format!("127.0.0.1:{port}"), "-c", "aiosmtpd.handlers.Mailbox"])
                .arg(folder.path().join("mail"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("`{command}` does not start ({error}); tests/run finds aiosmtpd"));
            let server = Self { process, port, folder };
            for _ in 0..200 {
                if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                    return server;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("the SMTP server does not listen");
        }

        fn mailer(&self) -> SmtpMailer {
            SmtpMailer::new(&settings(self.port).with_from_name("Tëst, \"the\" sender")).unwrap()
        }

        fn mails(&self) -> Vec<String> {
            let folder: &Path = self.folder.path();
            let mails = std::fs::read_dir(folder.join("mail/new")).unwrap();
            mails.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
        }
    }

    fn settings(port: u16) -> SmtpSettings {
        let from = Address::new("backend@example.org").unwrap();
        SmtpSettings::new("127.0.0.1", from).with_port(port).with_security(SmtpSecurity::None)
    }

    fn email() -> Email {
        let to = Address::new("ann@example.com").unwrap();
        Email::new(to, Subject::new("Grüße, Ann").unwrap(), "Hello\r\n.\r\nBcc: x@example.com\r\n").with_key("job-1")
    }

    #[tokio::test]
    async fn a_mail_arrives_at_a_real_server() {
        let server = Server::start().await;
        let mailer = server.mailer();
        mailer.send(&email()).await.unwrap();
        mailer.send(&email().with_html("<p>Hello</p>")).await.unwrap();
        let mails = server.mails();
        assert_eq!(mails.len(), 2);
        for mail in &mails {
            let (headers, body) = mail.split_once("\n\n").unwrap();
            let header =
                |name: &str| headers.lines().filter(|line| line.to_ascii_lowercase().starts_with(name)).count();
            assert_eq!((header("to:"), header("from:"), header("subject:"), header("bcc:")), (1, 1, 1, 0), "{headers}");
            assert!(headers.contains("Message-ID: <job-1@example.org>"), "{headers}");
            assert!(headers.contains("X-RcptTo: ann@example.com"), "{headers}");
            // The text's own lines stayed in the text.
            assert!(body.contains("Bcc: x@example.com"), "{body}");
        }
        assert!(mails.iter().any(|mail| mail.contains("multipart/alternative")));
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_worth_another_attempt() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = SmtpMailer::new(&settings(port)).unwrap().send(&email()).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "email-unavailable"));
        assert!(error.is_retryable());
    }

    #[tokio::test]
    async fn settings_that_cannot_work_are_refused() {
        let from = || Address::new("a@example.org").unwrap();
        let open = SmtpSettings::new("mail.example.org", from()).with_security(SmtpSecurity::None);
        let header = SmtpSettings::new("127.0.0.1", from()).with_from_name("A\r\nBcc: x@example.com");
        for bad in [open, header] {
            assert_eq!(SmtpMailer::new(&bad).unwrap_err().code(), "invalid-smtp-settings");
        }
        for security in [SmtpSecurity::Implicit, SmtpSecurity::StartTls] {
            assert!(SmtpMailer::new(&SmtpSettings::new("mail.example.org", from()).with_security(security)).is_ok());
        }
    }

    #[test]
    fn a_url_names_the_server() {
        use secrecy::{ExposeSecret as _, SecretString};
        let read = |url: &str| SmtpSettings::from_url(&SecretString::from(url), "Backend <b@example.org>");
        let shown = |url: &str| {
            let settings = read(url).unwrap();
            format!("{} {} {:?}", settings.host, settings.port, settings.security)
        };
        assert_eq!(shown("smtp://mail.example.org"), "mail.example.org 587 StartTls");
        assert_eq!(shown("smtps://mail.example.org/"), "mail.example.org 465 Implicit");
        assert_eq!(shown("smtp://127.0.0.1:1025"), "127.0.0.1 1025 None");
        assert_eq!(shown("smtp://[::1]:25"), "::1 25 None");
        let settings = read("smtps://ann%40example.org:p%3A%40ss@mail.example.org:2465").unwrap();
        let (user, password) = settings.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("ann@example.org", "p:@ss"));
        assert_eq!((settings.from_name.as_deref(), settings.from.as_str()), (Some("Backend"), "b@example.org"));
        for bad in [
            "",
            "mail.example.org",
            "http://mail.example.org",
            "smtp://",
            "smtp://a@b.org",
            "smtp://h:99999",
            "smtp://h/x",
        ] {
            assert_eq!(read(bad).unwrap_err().code(), "invalid-smtp-settings", "{bad}");
        }
    }

    /// From the order to the mail, through a queue and a worker.
    #[cfg(feature = "sqlite")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn send_email_runs_as_a_job() {
        use crate::{
            caller::Caller,
            drivers::sql::{
                connection::{Database, Signals},
                jobs::SqlQueue,
                open::OpenOptions,
            },
            engine::{
                local::LocalBus,
                worker::{WorkerOptions, Workers},
            },
            id::{TenantId, UserId},
            jobs::{Enqueue, Jobs as _, Queue, QueuedJobs, Ran},
        };
        let server = Server::start().await;
        let functions = register_send_email(Functions::builder(), Arc::new(server.mailer())).build().unwrap();
        let signals = Signals::new(Arc::new(LocalBus::default()));
        let database = Database::open_temporary(&OpenOptions::default(), signals).await.unwrap();
        let queue: Arc<dyn Queue> = Arc::new(SqlQueue::new(database.clone()));
        let jobs = QueuedJobs::new(Arc::clone(&queue), functions.clone());
        let workers = Workers::start(queue, functions, WorkerOptions::new()).unwrap();
        let caller = Caller::system(TenantId::default_tenant());
        let order = |to: &str, subject: &str| {
            Enqueue::new(SEND_EMAIL, serde_json::json!({"to": to, "subject": subject, "text": "Hello"}))
        };
        let ran = jobs.run(&caller, order("ann@example.com", "Hi"), Duration::from_secs(20)).await.unwrap();
        let Ran::Finished { id, .. } = ran else { panic!("it did not finish") };
        let mails = server.mails();
        assert!(mails.len() == 1 && mails[0].contains(&format!("Message-ID: <{id}@example.org>")), "{mails:?}");
        for bad in
            [order("ann@example.com\r\nBcc: x@example.com", "Hi"), order("ann@example.com", "Hi\r\nBcc: x@example.com")]
        {
            assert_eq!(jobs.enqueue(&caller, bad).await.unwrap_err().code(), "invalid-input");
        }
        let user = Caller::user(TenantId::default_tenant(), UserId::generate());
        let refused = jobs.enqueue(&user, order("ann@example.com", "Hi")).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forbidden);
        workers.shutdown().await;
        database.shutdown().await;
    }
}
