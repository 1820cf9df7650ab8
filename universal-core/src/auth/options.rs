//! Every limit of the service, with its default.

use std::time::Duration;

/// The limits of an [`Auth`](crate::auth::Auth) service. Start from [`AuthOptions::default`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AuthOptions {
    /// The `iss` of access tokens; `universal-backend` by default. Best the public URL of the backend.
    pub issuer: String,
    /// The `aud` of access tokens; `universal-backend` by default.
    pub audience: String,
    /// How long an access token is good for; 15 minutes by default.
    pub access_lifetime: Duration,
    /// How far the clocks of two machines may differ; 30 seconds by default.
    pub leeway: Duration,
    /// How long a refresh token that was exchanged still gives the same successor; 10 seconds by default.
    pub refresh_grace: Duration,
    /// How long a session lives without a refresh; 30 days by default.
    pub session_idle: Duration,
    /// How long a session lives at most; 90 days by default.
    pub session_lifetime: Duration,
    /// How many sessions a user may have; 50 by default. One more ends the one that was refreshed longest ago.
    pub sessions_per_user: u32,
    /// How old the knowledge may be that a session lives; 3 seconds by default. An open connection asks every
    /// 2 seconds, so that it ends within 5 seconds of its session.
    pub revocation_delay: Duration,
    /// How many verified tokens and how many sessions are remembered; 20 000 of each by default.
    pub cache_entries: usize,
    /// The cost of a password hash.
    pub hashing: HashingOptions,
}

impl Default for AuthOptions {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            issuer: "universal-backend".to_owned(),
            audience: "universal-backend".to_owned(),
            access_lifetime: Duration::from_secs(15 * 60),
            leeway: Duration::from_secs(30),
            refresh_grace: Duration::from_secs(10),
            session_idle: Duration::from_secs(30 * DAY),
            session_lifetime: Duration::from_secs(90 * DAY),
            sessions_per_user: 50,
            revocation_delay: Duration::from_secs(3),
            cache_entries: 20_000,
            hashing: HashingOptions::default(),
        }
    }
}

impl AuthOptions {
    /// With this `iss`.
    #[must_use]
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// With this `aud`.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// With access tokens that are good for this long; keep it short, see `revocation_delay` for ending them early.
    #[must_use]
    pub fn with_access_lifetime(mut self, lifetime: Duration) -> Self {
        self.access_lifetime = lifetime;
        self
    }

    /// With this grace period for concurrent refreshes.
    #[must_use]
    pub fn with_refresh_grace(mut self, grace: Duration) -> Self {
        self.refresh_grace = grace;
        self
    }

    /// With sessions that live `idle` without a refresh and `lifetime` at most.
    #[must_use]
    pub fn with_session_lifetimes(mut self, idle: Duration, lifetime: Duration) -> Self {
        self.session_idle = idle;
        self.session_lifetime = lifetime;
        self
    }

    /// With at most this many sessions a user, at least 1.
    #[must_use]
    pub fn with_sessions_per_user(mut self, sessions: u32) -> Self {
        self.sessions_per_user = sessions.max(1);
        self
    }

    /// With this cost of a password hash.
    #[must_use]
    pub fn with_hashing(mut self, hashing: HashingOptions) -> Self {
        self.hashing = hashing;
        self
    }
}

/// The cost of a password hash (Argon2id) and of the queue in front of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct HashingOptions {
    /// Memory of one hash in KiB; 19 456 by default (OWASP's minimum).
    pub memory_kib: u32,
    /// Passes over the memory; 2 by default.
    pub passes: u32,
    /// Lanes; 1 by default.
    pub lanes: u32,
    /// How many hashes are computed at a time; the number of cores by default. Each takes `memory_kib`.
    pub threads: usize,
    /// How many wait for a thread before more are refused; 64 by default.
    pub queue: usize,
}

impl Default for HashingOptions {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            queue: 64,
        }
    }
}

impl HashingOptions {
    /// With this cost of one hash. Hashes of another cost are replaced at the next log-in.
    #[must_use]
    pub fn with_cost(mut self, memory_kib: u32, passes: u32, lanes: u32) -> Self {
        self.memory_kib = memory_kib;
        self.passes = passes;
        self.lanes = lanes;
        self
    }

    /// With `threads` hashes at a time and `queue` waiting.
    #[must_use]
    pub fn with_queue(mut self, threads: usize, queue: usize) -> Self {
        self.threads = threads.max(1);
        self.queue = queue;
        self
    }
}
