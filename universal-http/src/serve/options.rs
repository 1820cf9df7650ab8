//! The limits of a listener.

use std::time::Duration;

/// Limits of [`super::serve`]. The defaults suit a server on the open internet, with or without a proxy in front.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// The time from a request's first byte to the end of its header, and from a connection's begin to its first
    /// byte: 10 s.
    pub header: Duration,
    /// How long a connection may rest between two requests: 75 s.
    pub idle: Duration,
    /// How long a request's body may stay silent: 15 s.
    pub body_idle: Duration,
    /// How long a client may take none of what is sent to it: 30 s.
    pub write: Duration,
    /// How many bytes wait in the kernel to be sent to a client that takes none, beside those that it was sent: 64 KiB.
    /// Without a limit they are megabytes, for each client that stopped reading. On other systems than Linux and Android
    /// the kernel decides.
    pub unsent: u32,
    /// How many connections may wait to be accepted: 4 096, or as many as the system allows (`net.core.somaxconn`), where
    /// a listener has 1 024 otherwise. One that finds no room tries again after 1, 3, 7 s: thousands come back at once
    /// after a restart. On other systems than Linux and Android whoever made the listener decides.
    pub backlog: u32,
    /// Open connections; further ones wait to be accepted: 10 000.
    pub connections: usize,
    /// Open connections of one IPv4 address or IPv6 /64 network; further ones are closed at once: 256. Loopback
    /// addresses are exempt: there stands a proxy, and it speaks for many.
    pub connections_per_address: usize,
    /// How long requests may go on after the stop: 30 s.
    pub drain: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            body_idle: Duration::from_secs(15),
            write: Duration::from_secs(30),
            unsent: 64 * 1024,
            backlog: 4_096,
            connections: 10_000,
            connections_per_address: 256,
            drain: Duration::from_secs(30),
        }
    }
}

impl ServeOptions {
    /// With another time for a header.
    #[must_use]
    pub fn with_header(mut self, time: Duration) -> Self {
        self.header = time;
        self
    }

    /// With another rest between two requests.
    #[must_use]
    pub fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// With another silence of a body.
    #[must_use]
    pub fn with_body_idle(mut self, time: Duration) -> Self {
        self.body_idle = time;
        self
    }

    /// With another patience with readers.
    #[must_use]
    pub fn with_write(mut self, time: Duration) -> Self {
        self.write = time;
        self
    }

    /// With another number of bytes that wait in the kernel.
    #[must_use]
    pub fn with_unsent(mut self, bytes: u32) -> Self {
        self.unsent = bytes;
        self
    }

    /// With another number of connections that wait to be accepted.
    #[must_use]
    pub fn with_backlog(mut self, count: u32) -> Self {
        self.backlog = count;
        self
    }

    /// With another number of open connections.
    #[must_use]
    pub fn with_connections(mut self, count: usize) -> Self {
        self.connections = count;
        self
    }

    /// With another number of open connections of one address.
    #[must_use]
    pub fn with_connections_per_address(mut self, count: usize) -> Self {
        self.connections_per_address = count;
        self
    }

    /// With another time for the drain.
    #[must_use]
    pub fn with_drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }
}
