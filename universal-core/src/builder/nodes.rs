//! Which way the nodes of an installation speak to each other.

use std::sync::Arc;

use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[cfg(feature = "postgres")]
use crate::drivers::sql::{connection::Database, pg_bus::PgBus};
#[cfg(any(feature = "postgres", feature = "redis"))]
use crate::realtime::carried::Carried;
use crate::{backend::Nodes, builder::Builder, engine::local::LocalBus, error::Result};

/// The way between nodes, chosen before the database is opened, which rings.
pub(super) struct Way {
    pub(super) nodes: Nodes,
    pub(super) shown: String,
    #[cfg(feature = "postgres")]
    postgres: Option<Arc<PgBus>>,
}

impl Way {
    fn new(nodes: Nodes, shown: &str) -> Self {
        Self {
            nodes,
            shown: shown.to_owned(),
            #[cfg(feature = "postgres")]
            postgres: None,
        }
    }

    /// Begins to carry through the database, if that is the way.
    #[cfg(feature = "postgres")]
    pub(super) fn start(&self, database: &Database, tasks: &TaskTracker, stop: &CancellationToken) {
        if let Some(bus) = &self.postgres {
            bus.start(database, tasks, stop);
        }
    }
}

impl Builder {
    /// With a Redis client that the host has opened (`init`), as the way between nodes, instead of `redis_url`. It
    /// publishes through it, and listens on a connection of its own to the same server. The client stays the host's.
    #[cfg(feature = "redis")]
    pub fn with_redis_client(mut self, client: fred::clients::Client) -> Self {
        self.redis_client = Some(client);
        self
    }

    /// Redis if one is given, else PostgreSQL if that is the database, else this process alone.
    pub(super) fn way(&mut self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Way> {
        if let Some(way) = self.redis(tasks, stop)? {
            return Ok(way);
        }
        #[cfg(feature = "postgres")]
        if self.is_on_postgres() {
            let bus = Arc::new(PgBus::new()?);
            let front = Arc::new(Carried::over(Arc::clone(&bus)));
            let mut way = Way::new(Nodes::of(front), "PostgreSQL");
            way.postgres = Some(bus);
            return Ok(way);
        }
        Ok(Way::new(Nodes::of(Arc::new(LocalBus::new())), "this process"))
    }

    #[cfg(feature = "postgres")]
    fn is_on_postgres(&self) -> bool {
        self.connection.is_some() || self.names_postgres()
    }

    #[cfg(feature = "redis")]
    fn redis(&mut self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Option<Way>> {
        use crate::drivers::redis::{bus::RedisBus, connection::Connections};
        let (connections, shown) = match (self.redis_client.take(), &self.settings.redis_url) {
            (Some(client), _) => (Connections::lent(client)?, "Redis, by the host's client"),
            (None, Some(url)) => (Connections::from_url(url)?, "Redis"),
            (None, None) => return Ok(None),
        };
        let bus = RedisBus::start(connections, &self.settings.redis_prefix, tasks, stop.clone())?;
        Ok(Some(Way::new(Nodes::of(Arc::new(Carried::over(bus))), shown)))
    }

    #[cfg(not(feature = "redis"))]
    fn redis(&mut self, _: &TaskTracker, _: &CancellationToken) -> Result<Option<Way>> {
        match &self.settings.redis_url {
            None => Ok(None),
            Some(_) => {
                let message = "this program was built without the feature `redis`";
                Err(crate::error::Error::invalid("invalid-settings", message).with_field("redis_url"))
            }
        }
    }
}
