//! One connection that publishes and one that listens; both come back by themselves.

use std::{fmt, time::Duration};

use fred::{
    clients::Client,
    interfaces::ClientLike as _,
    types::{
        Builder,
        config::{Config, ConnectionConfig, PerformanceConfig, ReconnectPolicy, UnresponsiveConfig},
    },
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{Error, Result};

/// How long a command may take that no caller waits for.
const COMMAND: Duration = Duration::from_secs(2);
/// How long an answer may be due before the connection counts as dead.
const SILENCE: Duration = Duration::from_secs(3);
/// How many messages wait between the connection and who listens here.
const MESSAGES: usize = 1024;
/// How many commands wait for the connection.
const COMMANDS: usize = 4096;

/// The schemes of a Redis URL.
const SCHEMES: &[&str] = &["redis", "rediss", "redis-cluster", "rediss-cluster", "redis-sentinel", "rediss-sentinel"];

/// The two connections of a node.
pub(crate) struct Connections {
    pub(super) publisher: Client,
    pub(super) subscriber: Client,
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
        let text = url.expose_secret();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !scheme.is_some_and(|scheme| SCHEMES.contains(&scheme)) {
            return Err(bad());
        }
        // The cause is left out: it may quote the URL.
        let config = Config::from_url(text).map_err(|_| bad())?;
        let publisher = client(config.clone())?;
        Ok(Self { publisher, subscriber: client(config)?, owned: true })
    }

    /// The connection that the host has opened, and one of our own beside it, to the same server, that listens.
    ///
    /// # Errors
    /// `Internal` if the host's settings make no client.
    pub(crate) fn lent(publisher: Client) -> Result<Self> {
        let subscriber = client(publisher.client_config())?;
        Ok(Self { publisher, subscriber, owned: false })
    }
}

/// A client that connects when its server is there, however often it goes away.
fn client(mut config: Config) -> Result<Client> {
    config.fail_fast = false;
    let mut policy = ReconnectPolicy::new_exponential(0, 50, 2_000, 2);
    policy.set_jitter(50);
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
