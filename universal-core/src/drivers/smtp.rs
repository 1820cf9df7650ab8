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

    /// A server from its URL: `smtp://user:password@host:587` (`STARTTLS`), `smtps://…` (TLS from the first byte,
    /// port 465), `smtp+plain://127.0.0.1:25` (none, only on this machine). User and password are percent-encoded.
    ///
    /// # Errors
    /// `Invalid` for anything else; the message does not repeat the URL.
    pub fn from_url(url: &SecretString, from: Address) -> Result<Self> {
        let bad = || {
            let message = "an SMTP URL is smtp://user:password@host:port, smtps://… or smtp+plain://127.0.0.1:port";
            Error::invalid("invalid-smtp-settings", message)
        };
        let (scheme, rest) = url.expose_secret().split_once("://").ok_or_else(bad)?;
        let (security, port) = match scheme {
            "smtp" => (SmtpSecurity::StartTls, 587),
            "smtps" => (SmtpSecurity::Implicit, 465),
            "smtp+plain" => (SmtpSecurity::None, 25),
            _ => return Err(bad()),
        };
        let (user, server) = rest.rsplit_once('@').map_or((None, rest), |(user, server)| (Some(user), server));
        let server = server.trim_end_matches('/');
        let (host, port) = match server.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (server, port),
        };
        if host.is_empty() {
            return Err(bad());
        }
        let mut settings = Self::new(host, from).with_port(port).with_security(security);
        if let Some(user) = user {
            let decoded = |text: &str| {
                percent_encoding::percent_decode_str(text).decode_utf8().map(Into::into).map_err(|_| bad())
            };
            let (user, password) = user.split_once(':').ok_or_else(bad)?;
            let (user, password): (String, String) = (decoded(user)?, decoded(password)?);
            settings = settings.with_credentials(user, password.into());
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
