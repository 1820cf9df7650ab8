//! The open realtime connections of an [`crate::Api`]: how many there are, and how many each user has.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use universal_core::{
    caller::Caller,
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
};

/// For how long the connections of a stopping process are closed one after another, so that its clients do not all
/// come back to another at the same moment.
const SPREAD: Duration = Duration::from_secs(5);
/// As fast as that a few are closed.
const EACH: Duration = Duration::from_millis(5);

/// The counts; a user without connections has no entry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connections(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: u32,
    users: HashMap<(TenantId, UserId), usize>,
}

/// One counted connection.
#[derive(Debug)]
pub(crate) struct Counted {
    connections: Connections,
    user: Option<(TenantId, UserId)>,
}

impl Connections {
    /// Counts a connection of `caller`. Who is no user is not counted as one: the listener has a limit for addresses.
    ///
    /// # Errors
    /// `RateLimited` `too-many-connections` if the user has `limit` already.
    pub(crate) fn admit(&self, caller: &Caller, limit: usize) -> Result<Counted> {
        let user = self.add(caller, limit)?;
        self.counts().all += 1;
        Ok(Counted { connections: self.clone(), user })
    }

    fn add(&self, caller: &Caller, limit: usize) -> Result<Option<(TenantId, UserId)>> {
        let Some(user) = caller.user_id() else { return Ok(None) };
        let user = (caller.tenant().clone(), user.clone());
        let mut counts = self.counts();
        let count = counts.users.entry(user.clone()).or_insert(0);
        if *count >= limit {
            let message = format!("a user has {limit} realtime connections at most; close one, or use one for all");
            return Err(Error::new(ErrorKind::RateLimited, "too-many-connections", message));
        }
        *count += 1;
        Ok(Some(user))
    }

    fn remove(&self, user: &(TenantId, UserId)) {
        let mut counts = self.counts();
        if let Some(count) = counts.users.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                counts.users.remove(user);
            }
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long one of the connections waits before it is closed when the process stops: a moment by chance, within 5 s
    /// where there are many.
    pub(crate) fn turn(&self) -> Duration {
        let within = (EACH * self.counts().all).min(SPREAD);
        // Any 16 bits of a random id will do.
        let (_, bytes) = uuid::Uuid::new_v4().as_u64_pair();
        within.mul_f64(f64::from((bytes & 0xffff) as u16) / 65_536.0)
    }
}

impl Counted {
    /// The connection belongs to `caller` from now on.
    ///
    /// # Errors
    /// As [`Connections::admit`]; it stays whose it was.
    pub(crate) fn belongs_to(&mut self, caller: &Caller, limit: usize) -> Result<()> {
        let is_same = self
            .user
            .as_ref()
            .is_some_and(|(tenant, user)| tenant == caller.tenant() && Some(user) == caller.user_id());
        if is_same {
            return Ok(());
        }
        let user = self.connections.add(caller, limit)?;
        if let Some(before) = std::mem::replace(&mut self.user, user) {
            self.connections.remove(&before);
        }
        Ok(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.connections.counts().all -= 1;
        if let Some(user) = self.user.take() {
            self.connections.remove(&user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_connections_are_counted_and_forgotten() {
        let connections = Connections::default();
        let user = Caller::user(TenantId::default_tenant(), UserId::generate());
        let nobody = Caller::anonymous(TenantId::default_tenant());
        let one = connections.admit(&user, 2).unwrap();
        let mut two = connections.admit(&nobody, 2).unwrap();
        two.belongs_to(&user, 2).unwrap();
        two.belongs_to(&user, 2).unwrap();
        let mut three = connections.admit(&nobody, 2).unwrap();
        assert_eq!(three.belongs_to(&user, 2).unwrap_err().code(), "too-many-connections");
        assert_eq!(connections.admit(&user, 2).unwrap_err().code(), "too-many-connections");
        assert_eq!(connections.counts().all, 3);
        drop(one);
        three.belongs_to(&user, 2).unwrap();
        drop((two, three));
        assert!(connections.counts().users.is_empty());
        assert_eq!(connections.counts().all, 0);
    }

    #[test]
    fn a_few_connections_are_closed_at_once_and_many_within_five_seconds() {
        let connections = Connections::default();
        connections.counts().all = 2;
        assert!(connections.turn() <= Duration::from_millis(10));
        connections.counts().all = 100_000;
        let turns: Vec<_> = (0..100).map(|_| connections.turn()).collect();
        assert!(turns.iter().all(|turn| *turn < SPREAD));
        assert!(turns.iter().any(|turn| *turn > Duration::from_secs(1)));
    }
}
