//! Subscriptions that are none.

use super::case::{Case, Place, escaped, get, post};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "SSE without a collection",
        status: 400,
        code: "missing-parameter",
        place: Place::Parameter,
        request: |s| get(&s.user, "/realtime/sse"),
    },
    Case {
        name: "SSE of an impossible collection",
        status: 400,
        code: "invalid-collection",
        place: Place::Parameter,
        request: |s| get(&s.user, "/realtime/sse?collection=BAD"),
    },
    Case {
        name: "SSE with a filter that is none",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, &format!("/realtime/sse?collection=todos&filter={}", escaped("a =="))),
    },
    Case {
        name: "SSE from an invented cursor",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, "/realtime/sse?collection=todos&since=x"),
    },
    Case {
        name: "SSE from an invented event id",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, "/realtime/sse?collection=todos").header("last-event-id", "1.x"),
    },
    Case {
        name: "SSE of nobody",
        status: 401,
        code: "sign-in-required",
        place: Place::None,
        request: |s| get(&s.anonymous, "/realtime/sse?collection=todos"),
    },
    Case {
        name: "SSE with an invented ticket",
        status: 401,
        code: "invalid-ticket",
        place: Place::None,
        request: |s| get(&s.anonymous, "/realtime/sse?collection=todos&ticket=abc"),
    },
    Case {
        name: "a ticket for nobody",
        status: 401,
        code: "unauthenticated",
        place: Place::None,
        request: |s| post(&s.anonymous, "/realtime/ticket", "{}"),
    },
    Case {
        name: "a WebSocket without an upgrade",
        status: 426,
        code: "upgrade-required",
        place: Place::None,
        request: |s| get(&s.user, "/realtime"),
    },
];
