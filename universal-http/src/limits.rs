//! The limits of requests and connections of this crate, as one plain value.

use std::time::Duration;

/// Limits that hold for every route. The defaults suit a server on the open internet.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// The largest JSON body in bytes: 1 MiB.
    pub json_body: usize,
    /// The largest body of a batch in bytes: 4 MiB.
    pub batch_body: usize,
    /// The largest body of an import in bytes; none: an import is as long as it is, and each line has the limit of a
    /// document.
    pub import_body: Option<u64>,
    /// How long one request may be handled until its answer begins: 30 s. Uploads and streams are exempt; for them
    /// [`Limits::body_idle`] holds.
    pub handling: Duration,
    /// How long a body may stay silent before the request is refused: 15 s.
    pub body_idle: Duration,
    /// Open realtime connections of one user: 100. Those of one address are limited by the listener.
    pub connections_per_user: usize,
    /// Subscriptions and channels of one realtime connection: 100.
    pub subscriptions: usize,
    /// Frames a second from a WebSocket or Socket.IO client, with a burst of three seconds' worth: 20.
    pub frames_per_second: u32,
    /// The largest frame from a WebSocket or Socket.IO client in bytes: 64 KiB.
    pub frame: usize,
    /// How long a WebSocket or Socket.IO session may stay without one subscription after it was opened: 10 s.
    pub first_subscription: Duration,
    /// Socket.IO sessions open at once: 10 000. A session of polling holds no connection, so that a listener cannot count it.
    pub socketio_sessions: usize,
    /// The time between two heartbeats of a realtime connection: 15 s.
    pub heartbeat: Duration,
    /// The time between two pings of a WebSocket or Socket.IO session: 25 s.
    pub ping: Duration,
    /// How long a client may take to answer a ping: 20 s.
    pub ping_timeout: Duration,
    /// How long a client of a realtime connection may take nothing of what is sent to it: 8 s, so that with what the
    /// kernels take first one that is told much is gone within 10. It comes back with its cursor. One that takes it little
    /// by little has 60 s for an event. Of a stream of events only the listener of the feature `serve` closes the connection too.
    pub reading: Duration,
    /// How often the token of an open realtime connection is verified again, which is how late its end is noticed: 2 s.
    pub token_check: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_body: 1024 * 1024,
            batch_body: 4 * 1024 * 1024,
            import_body: None,
            handling: Duration::from_secs(30),
            body_idle: Duration::from_secs(15),
            connections_per_user: 100,
            subscriptions: 100,
            frames_per_second: 20,
            frame: 64 * 1024,
            first_subscription: Duration::from_secs(10),
            socketio_sessions: 10_000,
            heartbeat: Duration::from_secs(15),
            ping: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            reading: Duration::from_secs(8),
            token_check: Duration::from_secs(2),
        }
    }
}

impl Limits {
    /// With another largest JSON body, in bytes.
    #[must_use]
    pub fn with_json_body(mut self, bytes: usize) -> Self {
        self.json_body = bytes;
        self
    }

    /// With another largest body of a batch, in bytes.
    #[must_use]
    pub fn with_batch_body(mut self, bytes: usize) -> Self {
        self.batch_body = bytes;
        self
    }

    /// With a largest body of an import, in bytes.
    #[must_use]
    pub fn with_import_body(mut self, bytes: u64) -> Self {
        self.import_body = Some(bytes);
        self
    }

    /// With another time for handling a request.
    #[must_use]
    pub fn with_handling(mut self, time: Duration) -> Self {
        self.handling = time;
        self
    }

    /// With another time that a body may stay silent.
    #[must_use]
    pub fn with_body_idle(mut self, time: Duration) -> Self {
        self.body_idle = time;
        self
    }

    /// With another number of open realtime connections of one user.
    #[must_use]
    pub fn with_connections_per_user(mut self, count: usize) -> Self {
        self.connections_per_user = count;
        self
    }

    /// With another number of Socket.IO sessions open at once.
    #[must_use]
    pub fn with_socketio_sessions(mut self, sessions: usize) -> Self {
        self.socketio_sessions = sessions;
        self
    }

    /// With another time between two heartbeats.
    #[must_use]
    pub fn with_heartbeat(mut self, time: Duration) -> Self {
        self.heartbeat = time;
        self
    }

    /// With another time that a client may take nothing.
    #[must_use]
    pub fn with_reading(mut self, time: Duration) -> Self {
        self.reading = time;
        self
    }

    /// With another time between two checks of an open connection's token.
    #[must_use]
    pub fn with_token_check(mut self, time: Duration) -> Self {
        self.token_check = time;
        self
    }
}
