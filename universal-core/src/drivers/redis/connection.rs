//! One connection that publishes and one that listens; both come back by themselves.

use std::{fmt, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    rustls::{ClientConfig, RootCertStore},
    rustls_native_certs::load_native_certs,
    types::{
        Builder,
        config::{
            Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, TlsConfig, TlsConnector, UnresponsiveConfig,
        },
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Error, Result};

/// How long a command may take that no caller waits for.
const COMMAND: Duration = Duration::from_secs(2);
/// How long an answer may be due before the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(3);
/// The first and the longest pause between two attempts to connect, in milliseconds. fred begins with the first again as
/// soon as a server has greeted it, and lets nobody say otherwise: so the first is what a server is spared that greets
/// and hangs up.
const PAUSES: (u32, u32) = (250, 2_000);
/// Up to how much is added to a pause, so that nodes do not come at once.
const JITTER: u32 = 250;
/// How many messages wait between the connection and who listens here.
const MESSAGES: usize = 1024;
/// How many commands wait for the connection.
const COMMANDS: usize = 4096;

/// The schemes of a Redis URL without TLS; `rediss` for `redis` is with it.
const SCHEMES: &[&str] = &["redis", "redis-cluster", "redis-sentinel"];

/// The two connections of a node.
pub(crate) struct Connections {
    pub(super) publisher: Client,
    pub(super) subscriber: Client,
    /// The number of the database that the URL, or the host's client, names.
    pub(super) database: u8,
    /// Whether the publisher is ours to open and close.
    pub(super) owned: bool,
}

impl Connections {
    /// Connections to the server of a URL; they are not opened yet.
    ///
    /// # Errors
    /// `Invalid` for a text that is no Redis URL; it is not repeated, it may hold a password.
    pub(crate) fn from_url(url: &SecretString) -> Result<Self> {
        let bad = || {
            let message = "a Redis URL is redis://user:password@host:port/database, rediss://… for TLS, or redis-cluster://… \
                           or redis-sentinel://…?sentinelServiceName=… for more than one server";
            Error::invalid("invalid-redis-url", message).with_field("redis_url")
        };
        let (scheme, rest) = url.expose_secret().split_once("://").ok_or_else(bad)?;
        let (plain, secure) = match scheme.strip_prefix("rediss") {
            Some(rest) => (format!("redis{rest}"), true),
            None => (scheme.to_owned(), false),
        };
        if !SCHEMES.contains(&plain.as_str()) {
            return Err(bad());
        }
        // The cause is left out: it may quote the URL.
        let mut config = Config::from_url(&format!("{plain}://{rest}")).map_err(|_| bad())?;
        if secure {
            config.tls = Some(tls()?);
        }
        let database = config.database.unwrap_or_default();
        let publisher = client(config.clone())?;
        Ok(Self { publisher, subscriber: client(config)?, database, owned: true })
    }

    /// The connection that the host has opened, and one of our own beside it, to the same server, that listens.
    ///
    /// # Errors
    /// `Internal` if the host's settings make no client.
    pub(crate) fn lent(publisher: Client) -> Result<Self> {
        let config = publisher.client_config();
        let database = config.database.unwrap_or_default();
        Ok(Self { publisher, subscriber: client(config)?, database, owned: false })
    }
}

/// TLS with the roots of the operating system. The provider is named: fred's own way makes one the default of the
/// process, which is the host's to choose.
fn tls() -> Result<TlsConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(load_native_certs().certs);
    let provider = Arc::new(fred::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

/// A client that connects when its server is there, however often it goes away.
fn client(mut config: Config) -> Result<Client> {
    config.fail_fast = false;
    let mut policy = ReconnectPolicy::new_exponential(0, PAUSES.0, PAUSES.1, 2);
    policy.set_jitter(JITTER);
    let connection = ConnectionConfig {
        connection_timeout: COMMAND,
        internal_command_timeout: COMMAND,
        // What was sent and not answered is not sent again: a message would arrive twice.
        max_command_attempts: 1,
        max_command_buffer_len: COMMANDS,
        unresponsive: UnresponsiveConfig { max_timeout: Some(SILENCE), interval: Duration::from_secs(1) },
        ..ConnectionConfig::default()
    };
    let performance = PerformanceConfig {
        default_command_timeout: COMMAND,
        broadcast_channel_capacity: MESSAGES,
        ..PerformanceConfig::default()
    };
    let mut builder = Builder::from_config(config);
    builder.set_policy(policy).set_connection_config(connection).set_performance_config(performance);
    builder.build().map_err(Error::internal)
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("owned", &self.owned).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redis_url_is_taken_and_it_is_not_repeated() {
        for good in ["redis://127.0.0.1", "redis://user:pass@host:6380/2", "redis-cluster://a:7000?node=b:7001"] {
            Connections::from_url(&SecretString::from(good)).unwrap();
        }
        Connections::from_url(&SecretString::from("rediss://host")).unwrap();
        let default = fred::rustls::crypto::CryptoProvider::get_default();
        assert!(default.is_none(), "the process is given no provider");
        for bad in [
            "",
            "canary",
            "http://canary",
            "redis://",
            "redis://host:canary",
            "redis://host:99999",
            "redis+unix:///canary",
        ] {
            let error = Connections::from_url(&SecretString::from(bad)).unwrap_err();
            assert_eq!((error.code(), error.field()), ("invalid-redis-url", Some("redis_url")), "{bad}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }
}
