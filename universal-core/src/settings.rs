//! What an operator decides: from the environment, from TOML, or set in Rust.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Settings of a backend. Everything has a default; `Settings::default()` is SQLite and the local
/// disk under `./data`.
///
/// ```
/// use universal_core::Settings;
/// let settings = Settings::from_toml(r#"
///     database_url = "postgres://app@db/app"
///     master_key = "0000000000000000000000000000000000000000000000000000000000000000"
///     public_url = "https://example.org/backend"
/// "#)?;
/// assert_eq!(settings.public_url.as_deref(), Some("https://example.org/backend"));
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// The folder of the embedded database, of files and of keys. `UNIVERSAL_DATA`; `./data`.
    pub data: PathBuf,
    /// `postgres://…`, or `sqlite:path`; without it SQLite in the data folder. `DATABASE_URL`.
    pub database_url: Option<SecretString>,
    /// 64 hexadecimal digits; without it a key in the data folder, which only SQLite allows.
    /// `UNIVERSAL_MASTER_KEY`.
    pub master_key: Option<SecretString>,
    /// Where clients reach the backend, for links. `UNIVERSAL_PUBLIC_URL`.
    pub public_url: Option<String>,
    /// How SQLite waits for the disk. `UNIVERSAL_SQLITE_SYNCHRONOUS`: `full` or `normal`.
    pub sqlite_synchronous: Synchronous,
    /// Connections to the database, 1 to 200; on SQLite connections that read. `UNIVERSAL_DATABASE_CONNECTIONS`.
    pub database_connections: u32,
    /// Whether documents may be created in collections that nobody has configured.
    /// `UNIVERSAL_UNDECLARED_COLLECTIONS`: `allow` or `deny`.
    pub undeclared_collections: Undeclared,
    /// `redis://user:password@host:port/database`, `rediss://…` for TLS: the way between several nodes. Without it
    /// PostgreSQL is that way. `REDIS_URL` or `UNIVERSAL_REDIS_URL`.
    pub redis_url: Option<SecretString>,
    /// What the names of our channels in Redis begin with; the same on every node of an installation.
    /// `UNIVERSAL_REDIS_PREFIX`; `universal`.
    pub redis_prefix: String,
    /// How many messages the callers of one tenant say in channels on one node in a second, and three times as many at once;
    /// a member that comes or changes is one too. `UNIVERSAL_CHANNEL_MESSAGES_PER_SECOND`; 1 000.
    pub channel_messages_per_second: u32,
    /// How many bytes these take. `UNIVERSAL_CHANNEL_BYTES_PER_SECOND`; 4 194 304.
    pub channel_bytes_per_second: u32,
    /// `smtp://user:password@host:port`, `smtps://…` for TLS from the start. `UNIVERSAL_SMTP_URL`.
    pub smtp_url: Option<SecretString>,
    /// The sender of mails. `UNIVERSAL_MAIL_FROM`.
    pub mail_from: Option<String>,
    /// The first administrator's address. `UNIVERSAL_ADMIN_EMAIL`.
    pub admin_email: Option<String>,
    /// The first administrator's password. `UNIVERSAL_ADMIN_PASSWORD`.
    pub admin_password: Option<SecretString>,
    /// Where the example server listens. `UNIVERSAL_HOST`; `127.0.0.1`.
    pub host: String,
    /// The port of the example server. `PORT`; 8080.
    pub port: u16,
    /// How many jobs this process runs at once; 0 runs none. `UNIVERSAL_WORKERS`; 4.
    pub workers: u32,
}

/// How SQLite waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Synchronous {
    /// An acknowledged write survives a loss of power.
    #[default]
    Full,
    /// A loss of power may take the last acknowledged writes; a crash of the process does not.
    Normal,
}

/// What a collection is that nobody has configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undeclared {
    /// Its first document makes it; it has the owner rule.
    #[default]
    Allow,
    /// Nothing can be created in it.
    Deny,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./data"),
            database_url: None,
            master_key: None,
            public_url: None,
            sqlite_synchronous: Synchronous::Full,
            database_connections: 16,
            undeclared_collections: Undeclared::Allow,
            redis_url: None,
            redis_prefix: "universal".to_owned(),
            channel_messages_per_second: 1_000,
            channel_bytes_per_second: 4 * 1024 * 1024,
            smtp_url: None,
            mail_from: None,
            admin_email: None,
            admin_password: None,
            host: "127.0.0.1".to_owned(),
            port: 8080,
            workers: 4,
        }
    }
}

impl Settings {
    /// Settings from the text of a TOML file; the names are those of the fields.
    ///
    /// # Errors
    /// `Invalid` with the line for a name that is unknown or a value that does not fit.
    pub fn from_toml(text: &str) -> Result<Self> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            // The error's full text quotes the line, which may hold a secret.
            let position = error.span().map_or(0, |span| span.start);
            Error::invalid("invalid-settings", format!("the settings are not valid: {}", error.message()))
                .with_position(position)
        })?;
        settings.checked()
    }

    /// Settings from the environment of the process; `UNIVERSAL_CONFIG` names a TOML file to begin with.
    ///
    /// # Errors
    /// `Invalid` with the variable's name; a variable `UNIVERSAL_…` that nobody knows is an error too.
    pub fn from_env() -> Result<Self> {
        Self::from_vars(std::env::vars())
    }

    /// Settings from variables by name, as [`from_env`](Self::from_env) reads them.
    ///
    /// # Errors
    /// As [`from_env`](Self::from_env).
    pub fn from_vars(vars: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut vars: Vec<_> = vars.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        // `UNIVERSAL_REDIS_URL` comes after `REDIS_URL`, which other programs read too, and stands over it.
        vars.sort();
        let file = vars.iter().find(|(name, _)| name == "UNIVERSAL_CONFIG");
        let mut settings = match file {
            Some((_, path)) => Self::from_toml(
                &std::fs::read_to_string(path)
                    .map_err(|error| variable("UNIVERSAL_CONFIG", format!("the file cannot be read: {error}")))?,
            )?,
            None => Self::default(),
        };
        for (name, value) in vars {
            settings.set(&name, value)?;
        }
        settings.checked()
    }

    fn set(&mut self, name: &str, value: String) -> Result<()> {
        match name {
            "UNIVERSAL_CONFIG" => {}
            "PORT" => self.port = number(name, &value)?,
            "DATABASE_URL" => self.database_url = Some(value.into()),
            "UNIVERSAL_DATA" => self.data = value.into(),
            "UNIVERSAL_MASTER_KEY" => self.master_key = Some(value.into()),
            "UNIVERSAL_PUBLIC_URL" => self.public_url = Some(value),
            "UNIVERSAL_DATABASE_CONNECTIONS" => self.database_connections = number(name, &value)?,
            "REDIS_URL" | "UNIVERSAL_REDIS_URL" => self.redis_url = Some(value.into()),
            "UNIVERSAL_REDIS_PREFIX" => self.redis_prefix = value,
            "UNIVERSAL_CHANNEL_MESSAGES_PER_SECOND" => self.channel_messages_per_second = number(name, &value)?,
            "UNIVERSAL_CHANNEL_BYTES_PER_SECOND" => self.channel_bytes_per_second = number(name, &value)?,
            "UNIVERSAL_SMTP_URL" => self.smtp_url = Some(value.into()),
            "UNIVERSAL_MAIL_FROM" => self.mail_from = Some(value),
            "UNIVERSAL_ADMIN_EMAIL" => self.admin_email = Some(value),
            "UNIVERSAL_ADMIN_PASSWORD" => self.admin_password = Some(value.into()),
            "UNIVERSAL_HOST" => self.host = value,
            "UNIVERSAL_WORKERS" => self.workers = number(name, &value)?,
            "UNIVERSAL_SQLITE_SYNCHRONOUS" => {
                self.sqlite_synchronous = match value.as_str() {
                    "full" => Synchronous::Full,
                    "normal" => Synchronous::Normal,
                    _ => return Err(variable(name, "it is `full` or `normal`")),
                }
            }
            "UNIVERSAL_UNDECLARED_COLLECTIONS" => {
                self.undeclared_collections = match value.as_str() {
                    "allow" => Undeclared::Allow,
                    "deny" => Undeclared::Deny,
                    _ => return Err(variable(name, "it is `allow` or `deny`")),
                }
            }
            // The test suite's own variables are not settings of a server it starts.
            _ if name.starts_with("UNIVERSAL_TEST_") => {}
            _ if name.starts_with("UNIVERSAL_") => return Err(variable(name, "there is no such setting")),
            _ => {}
        }
        Ok(())
    }

    fn checked(self) -> Result<Self> {
        if !(1..=200).contains(&self.database_connections) {
            return Err(Error::invalid("invalid-settings", "database_connections is a number from 1 to 200")
                .with_field("database_connections"));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b':' | b'_' | b'-' | b'.');
        if !(1..=64).contains(&self.redis_prefix.len()) || !self.redis_prefix.bytes().all(word) {
            let message = "redis_prefix is 1 to 64 of letters, digits, ':', '_', '-' and '.'";
            return Err(Error::invalid("invalid-settings", message).with_field("redis_prefix"));
        }
        for (field, rate) in [
            ("channel_messages_per_second", self.channel_messages_per_second),
            ("channel_bytes_per_second", self.channel_bytes_per_second),
        ] {
            if rate == 0 {
                return Err(Error::invalid("invalid-settings", format!("{field} is a number from 1")).with_field(field));
            }
        }
        if let Some(url) = &self.public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            return Err(Error::invalid("invalid-settings", "public_url begins with http:// or https://")
                .with_field("public_url"));
        }
        Ok(self)
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| variable(name, "it is a whole number in range"))
}

fn variable(name: &str, what: impl fmt::Display) -> Error {
    Error::invalid("invalid-settings", format!("the variable {name}: {what}")).with_field(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(vars: &[(&str, &str)]) -> Result<Settings> {
        Settings::from_vars(vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_environment_is_read_and_typing_errors_are_found() {
        let settings = from(&[("PORT", "9000"), ("UNIVERSAL_SQLITE_SYNCHRONOUS", "normal"), ("PATH", "/bin")]).unwrap();
        assert_eq!((settings.port, settings.sqlite_synchronous), (9000, Synchronous::Normal));
        for (name, value) in [
            ("PORT", "x"),
            ("PORT", "70000"),
            ("UNIVERSAL_MASTERKEY", "1"),
            ("UNIVERSAL_PUBLIC_URL", "x"),
            ("UNIVERSAL_CHANNEL_MESSAGES_PER_SECOND", "0"),
            ("UNIVERSAL_CHANNEL_BYTES_PER_SECOND", "-1"),
        ] {
            assert_eq!(from(&[(name, value)]).unwrap_err().code(), "invalid-settings", "{name}={value}");
        }
    }

    #[test]
    fn the_redis_url_that_is_ours_stands_over_the_one_that_others_read_too() {
        use secrecy::ExposeSecret as _;
        let (ours, theirs) = (("UNIVERSAL_REDIS_URL", "redis://ours"), ("REDIS_URL", "redis://theirs"));
        for (vars, expected) in [(vec![ours, theirs], ours.1), (vec![theirs, ours], ours.1), (vec![theirs], theirs.1)] {
            let url = from(&vars).unwrap().redis_url.unwrap();
            assert_eq!(url.expose_secret(), expected);
        }
        for prefix in ["a b", "a*", &"x".repeat(65)] {
            let error = from(&[("UNIVERSAL_REDIS_PREFIX", prefix)]).unwrap_err();
            assert_eq!(error.field(), Some("redis_prefix"));
        }
    }

    #[test]
    fn secrets_do_not_show() {
        let settings =
            from(&[("DATABASE_URL", "postgres://u:canary@h/d"), ("UNIVERSAL_MASTER_KEY", "canary")]).unwrap();
        assert!(!format!("{settings:?}").contains("canary"));
        let error = Settings::from_toml("admin_password = canary").unwrap_err();
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
}
