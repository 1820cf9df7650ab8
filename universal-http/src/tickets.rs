//! Tickets for event streams: what a browser's `EventSource`, which cannot send a header, puts into the address.
//!
//! A ticket stands for an access token for a short while, so that the token itself never is in an address, where logs
//! would keep it. Tickets live in the memory of this process: behind several nodes, the stream must reach the node that
//! gave the ticket, or the client asks for another.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use tokio::time::Instant;
use universal_core::{
    error::{Error, ErrorKind, Result},
    id::UserId,
};

/// How long a ticket waits for its first use.
pub(crate) const FIRST_USE: Duration = Duration::from_secs(30);
/// How long a used one is remembered: the life of an access token, with its leeway. What it stands for ends with it.
const REMEMBERED: Duration = Duration::from_secs(15 * 60 + 60);
/// Tickets of one user; a further one replaces the oldest.
const PER_USER: usize = 20;
/// Tickets of all.
const IN_ALL: usize = 10_000;

/// The tickets of one `Api`.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, Ticket>>);

struct Ticket {
    user: UserId,
    token: SecretString,
    made: Instant,
    /// The stream it was first used for; good for no other.
    stream: Option<String>,
}

impl Ticket {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.made) > if self.stream.is_some() { REMEMBERED } else { FIRST_USE }
    }
}

impl Tickets {
    /// A new ticket for `token`.
    ///
    /// # Errors
    /// `Busy` if too many are out.
    pub(crate) fn issue(&self, user: &UserId, token: SecretString) -> Result<String> {
        let now = Instant::now();
        let mut tickets = self.lock();
        let own = tickets.iter().filter(|(_, ticket)| ticket.user == *user);
        let (count, oldest) = own.fold((0, None::<(&String, Instant)>), |(count, oldest), (text, ticket)| {
            let older = oldest.is_none_or(|(_, made)| ticket.made < made);
            (count + 1, if older { Some((text, ticket.made)) } else { oldest })
        });
        if count >= PER_USER {
            let oldest = oldest.map(|(text, _)| text.clone());
            oldest.map(|text| tickets.remove(&text));
        }
        if tickets.len() >= IN_ALL {
            tickets.retain(|_, ticket| !ticket.is_over(now));
        }
        if tickets.len() >= IN_ALL {
            return Err(Error::new(
                ErrorKind::Busy,
                "too-many-tickets",
                "too many tickets are out; try again in a while",
            ));
        }
        // Two of 122 random bits each: not to be guessed.
        let text = format!("{}{}", uuid::Uuid::new_v4().as_simple(), uuid::Uuid::new_v4().as_simple());
        tickets.insert(text.clone(), Ticket { user: user.clone(), token, made: now, stream: None });
        Ok(text)
    }

    /// The access token behind a ticket, for `stream`.
    ///
    /// # Errors
    /// `Unauthenticated` if it is unknown, was not used in time or belongs to another stream.
    pub(crate) fn redeem(&self, text: &str, stream: &str) -> Result<SecretString> {
        let mut tickets = self.lock();
        let Some(ticket) = tickets.get_mut(text) else { return Err(invalid()) };
        if ticket.is_over(Instant::now()) {
            tickets.remove(text);
            return Err(invalid());
        }
        if ticket.stream.as_deref().is_some_and(|first| first != stream) {
            return Err(invalid());
        }
        ticket.stream.get_or_insert_with(|| stream.to_owned());
        Ok(ticket.token.clone())
    }

    /// Forgets a ticket whose token is no longer valid.
    pub(crate) fn forget(&self, text: &str) {
        self.lock().remove(text);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn invalid() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid-ticket", "this ticket is not, or no longer, valid; get a new one")
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_for_one_stream_and_a_short_while() {
        let tickets = Tickets::default();
        let user = UserId::generate();
        let first = tickets.issue(&user, "t".into()).unwrap();
        assert_eq!(tickets.redeem(&first, "a").unwrap().expose_secret(), "t");
        assert_eq!(tickets.redeem(&first, "b").unwrap_err().code(), "invalid-ticket");
        let second = tickets.issue(&user, "t".into()).unwrap();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(tickets.redeem(&first, "a").is_ok(), "reconnects go on");
        assert!(tickets.redeem(&second, "a").is_err());
        assert!(tickets.redeem("abc", "a").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn one_user_cannot_take_them_all() {
        let tickets = Tickets::default();
        let user = UserId::generate();
        let first = tickets.issue(&user, "t".into()).unwrap();
        for _ in 0..PER_USER {
            tokio::time::advance(Duration::from_millis(1)).await;
            tickets.issue(&user, "t".into()).unwrap();
        }
        assert_eq!(tickets.lock().len(), PER_USER);
        assert!(tickets.redeem(&first, "a").is_err());
    }
}
