//! What differs between the databases: named questions, answered here and nowhere else.

use sea_orm::DbBackend;

/// Which SQL is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL 13 or newer.
    Postgres,
    /// SQLite 3.51.3 or newer.
    Sqlite,
}

impl Dialect {
    /// The database's clock as microseconds since 1970; leases and schedules use no other.
    pub(crate) fn now(self) -> &'static str {
        match self {
            Self::Postgres => "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
            Self::Sqlite => "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
        }
    }

    /// The texts in a bound JSON array of texts, as the right side of `IN`.
    pub(crate) fn texts(self, placeholder: &str) -> String {
        match self {
            Self::Postgres => format!("(SELECT jsonb_array_elements_text({placeholder}::text::jsonb))"),
            Self::Sqlite => format!("(SELECT value FROM json_each({placeholder}))"),
        }
    }

    /// A bound text as a value of the JSON column type.
    pub(crate) fn json_in(self, placeholder: &str) -> String {
        match self {
            Self::Postgres => format!("{placeholder}::text::jsonb"),
            Self::Sqlite => placeholder.to_owned(),
        }
    }

    /// A JSON column as text.
    pub(crate) fn json_out(self, column: &str) -> String {
        match self {
            Self::Postgres => format!("{column}::text"),
            Self::Sqlite => column.to_owned(),
        }
    }

    /// Locks the selected rows until the transaction ends. SQLite's writer is alone anyway.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Postgres => " FOR UPDATE",
            Self::Sqlite => "",
        }
    }

    /// Locks the selected rows until the transaction ends; whoever only needs them to stay may go on.
    pub(crate) fn for_no_key_update(self) -> &'static str {
        match self {
            Self::Postgres => " FOR NO KEY UPDATE",
            Self::Sqlite => "",
        }
    }

    /// Keeps the selected rows from being deleted until the transaction ends.
    pub(crate) fn for_key_share(self) -> &'static str {
        match self {
            Self::Postgres => " FOR KEY SHARE",
            Self::Sqlite => "",
        }
    }

    /// Locks the selected rows and passes over those that somebody else holds.
    pub(crate) fn skip_locked(self) -> &'static str {
        match self {
            Self::Postgres => " FOR UPDATE SKIP LOCKED",
            Self::Sqlite => "",
        }
    }

    /// The order of text by its bytes, whatever the database's collation is.
    pub(crate) fn bytewise(self) -> &'static str {
        match self {
            Self::Postgres => " COLLATE \"C\"",
            Self::Sqlite => "",
        }
    }

    /// The name that sea-orm gives it.
    pub(crate) fn backend(self) -> DbBackend {
        match self {
            Self::Postgres => DbBackend::Postgres,
            Self::Sqlite => DbBackend::Sqlite,
        }
    }
}
