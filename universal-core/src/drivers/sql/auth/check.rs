//! Whose an access token is: verified once, its session looked at every few seconds.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    auth::{
        options::AuthOptions,
        token::{AccessTokens, MAX_BYTES, expired, refused},
    },
    caller::Caller,
    clock::{SharedClock, Timestamp},
    drivers::sql::{
        auth::sessions::{self, Rights},
        bounded_map::BoundedMap,
        connection::Database,
        tenant as tenants,
    },
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
};

/// Checks access tokens with two bounded memories: of tokens whose signature and claims are good, and of
/// sessions that lived when last looked at.
pub(super) struct AccessCheck {
    db: Database,
    clock: SharedClock,
    tokens: AccessTokens,
    delay: Duration,
    memory: Mutex<Memory>,
}

struct Memory {
    tokens: BoundedMap<[u8; 32], Known>,
    sessions: BoundedMap<(TenantId, String), Seen>,
    /// Counts forgettings, so that a read that began before one is not remembered after it.
    forgotten: u64,
}

/// A token that was verified.
#[derive(Clone)]
struct Known {
    caller: Caller,
    user: UserId,
    session: String,
    token_version: i64,
    expires_at: Timestamp,
}

/// A session as it was when somebody looked.
#[derive(Clone, Copy)]
struct Seen {
    rights: Rights,
    at: Timestamp,
    /// Whether somebody is looking again already, ahead of time.
    looking: bool,
}

impl AccessCheck {
    pub(super) fn new(db: Database, clock: SharedClock, tokens: AccessTokens, options: &AuthOptions) -> Self {
        let memory = Memory {
            tokens: BoundedMap::new(options.cache_entries),
            sessions: BoundedMap::new(options.cache_entries),
            forgotten: 0,
        };
        Self { db, clock, tokens, delay: options.revocation_delay, memory: Mutex::new(memory) }
    }

    pub(super) async fn check(&self, tenant: Option<&TenantId>, token: &str) -> Result<Caller> {
        let known = self.known(token)?;
        if tenant.is_some_and(|tenant| tenant != known.caller.tenant()) {
            return Err(Error::new(
                ErrorKind::Forbidden,
                "tenant-mismatch",
                "the access token belongs to another tenant than the one asked for",
            ));
        }
        match self.rights(&known).await? {
            Rights::Version(version) if version == known.token_version => Ok(known.caller),
            Rights::Version(_) => Err(ended("the rights of the account have changed; refresh the access token")),
            Rights::TenantDisabled => Err(tenants::disabled()),
            Rights::Ended => Err(ended("the session has ended; log in again")),
        }
    }

    /// From now on, on this node, the session is known to have ended.
    pub(super) fn forget_session(&self, tenant: &TenantId, session: &str) {
        let mut memory = self.memory();
        memory.forgotten += 1;
        memory.sessions.remove(&(tenant.clone(), session.to_owned()));
    }

    /// From now on, on this node, all sessions are looked at anew.
    pub(super) fn forget_all(&self) {
        let mut memory = self.memory();
        memory.forgotten += 1;
        memory.sessions.clear();
    }

    fn known(&self, token: &str) -> Result<Known> {
        if token.len() > MAX_BYTES {
            return Err(refused());
        }
        let now = self.clock.now();
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.memory().tokens.get_mut(&key).cloned() {
            if self.tokens.is_over(known.expires_at, now) {
                return Err(expired());
            }
            return Ok(known);
        }
        let verified = self.tokens.verify(token, now)?;
        let subject = verified.subject;
        let caller = Caller::user(subject.tenant, subject.user.clone())
            .with_roles(subject.roles)
            .with_session(subject.session.as_str());
        let known = Known {
            caller,
            user: subject.user,
            session: subject.session,
            token_version: subject.token_version,
            expires_at: verified.expires_at,
        };
        self.memory().tokens.insert(key, known.clone());
        Ok(known)
    }

    async fn rights(&self, known: &Known) -> Result<Rights> {
        let key = (known.caller.tenant().clone(), known.session.clone());
        let asked_at = self.clock.now();
        let forgotten = {
            let mut memory = self.memory();
            if let Some(seen) = memory.sessions.get_mut(&key)
                && let Some(rights) = self.still_good(seen, known, asked_at)
            {
                return Ok(rights);
            }
            memory.forgotten
        };
        let rights = sessions::rights(&self.db, known.caller.tenant(), &known.user, &known.session).await?;
        let mut memory = self.memory();
        if memory.forgotten == forgotten {
            memory.sessions.insert(key, Seen { rights, at: asked_at, looking: false });
        }
        Ok(rights)
    }

    /// What was seen, if it may still be used. When four fifths of its time are over, one caller looks
    /// again while the others go on with it, so that not all look at once in the end.
    fn still_good(&self, seen: &mut Seen, known: &Known, now: Timestamp) -> Option<Rights> {
        let is_newer = matches!(seen.rights, Rights::Version(version) if version < known.token_version);
        if is_newer || now < seen.at || now >= seen.at.plus(self.delay) {
            return None;
        }
        if now >= seen.at.plus(self.delay * 4 / 5) && !seen.looking {
            seen.looking = true;
            return None;
        }
        Some(seen.rights)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AccessCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessCheck").finish_non_exhaustive()
    }
}

fn ended(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, "session-ended", message)
}
