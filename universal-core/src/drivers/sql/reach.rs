//! How far a query reaches, and how many of each kind run at once.
//!
//! A list without a usable index may look at every document of a collection. If such lists could take all connections, a
//! read of one document, which takes microseconds, would wait for them: so each kind has a share, and what is read by
//! its key always finds a connection that no list can have.

#[cfg(feature = "postgres")]
use std::time::Duration;

#[cfg(feature = "postgres")]
use tokio::sync::{Semaphore, SemaphorePermit};

#[cfg(feature = "postgres")]
use crate::{drivers::sql::error::no_connection, error::Result};

/// How far a query reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// To rows that are named.
    Key,
    /// Along an index or the key, as far as the page goes, or a little further.
    Index,
    /// To as many documents as there are.
    Scan,
}

/// How many queries run at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Of all that reach beyond what is named.
    pub(crate) lists: usize,
    /// Of scans among them.
    pub(crate) scans: usize,
}

impl Shares {
    /// The shares of so many connections: three quarters for lists, half for scans. A single connection is for all.
    pub(crate) fn of(connections: usize) -> Self {
        let lists = connections.saturating_sub((connections / 4).max(1)).max(1);
        Self { lists, scans: (connections / 2).clamp(1, lists) }
    }
}

/// How many lists wait for their turn before a caller is told that the database is busy.
#[cfg(feature = "postgres")]
const QUEUE: usize = 4096;
/// How long a list waits for its turn: as long as for a connection.
#[cfg(feature = "postgres")]
const WAIT: Duration = Duration::from_secs(5);

/// The turns of lists on a pool of connections. SQLite's threads take queries by [`Shares`] themselves.
#[cfg(feature = "postgres")]
#[derive(Debug)]
pub(crate) struct Turns {
    queue: Semaphore,
    lists: Semaphore,
    scans: Semaphore,
}

/// A turn; it ends when this is dropped.
#[cfg(feature = "postgres")]
#[derive(Debug, Default)]
pub(crate) struct Turn<'a> {
    _list: Option<SemaphorePermit<'a>>,
    _scan: Option<SemaphorePermit<'a>>,
}

#[cfg(feature = "postgres")]
impl Turns {
    /// The turns on so many connections.
    pub(crate) fn on(connections: usize) -> Self {
        let Shares { lists, scans } = Shares::of(connections);
        Self { queue: Semaphore::new(QUEUE), lists: Semaphore::new(lists), scans: Semaphore::new(scans) }
    }

    /// Waits for a turn; what names its rows needs none.
    ///
    /// # Errors
    /// `Busy` if too many wait, or it has waited for too long.
    pub(crate) async fn take(&self, reach: Reach) -> Result<Turn<'_>> {
        if reach == Reach::Key {
            return Ok(Turn::default());
        }
        let _place = self.queue.try_acquire().map_err(|_| no_connection())?;
        let wait = async {
            // A scan waits for its kind first, so that scans that wait keep no place of other lists.
            let scan = match reach {
                Reach::Scan => Some(self.scans.acquire().await.map_err(|_| no_connection())?),
                _ => None,
            };
            let list = self.lists.acquire().await.map_err(|_| no_connection())?;
            Ok(Turn { _list: Some(list), _scan: scan })
        };
        tokio::time::timeout(WAIT, wait).await.map_err(|_| no_connection())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_share_that_the_others_cannot_take() {
        for connections in 4..=64 {
            let Shares { lists, scans } = Shares::of(connections);
            assert!(scans >= 1 && scans < lists && lists < connections, "{connections}: {lists} {scans}");
        }
        assert_eq!(Shares::of(16), Shares { lists: 12, scans: 8 });
        assert_eq!(Shares::of(2), Shares { lists: 1, scans: 1 });
        assert_eq!(Shares::of(1), Shares { lists: 1, scans: 1 });
    }

    #[cfg(feature = "postgres")]
    #[tokio::test]
    async fn scans_leave_turns_to_lists_and_lists_to_reads_by_key() {
        let turns = Turns::on(4);
        let scans = [turns.take(Reach::Scan).await.unwrap(), turns.take(Reach::Scan).await.unwrap()];
        let third = turns.take(Reach::Scan);
        assert!(futures_util::FutureExt::now_or_never(third).is_none(), "a third scan waits");
        let list = turns.take(Reach::Index).await.unwrap();
        assert!(futures_util::FutureExt::now_or_never(turns.take(Reach::Index)).is_none(), "a fourth list waits");
        turns.take(Reach::Key).await.unwrap();
        drop((scans, list));
        turns.take(Reach::Scan).await.unwrap();
    }
}
