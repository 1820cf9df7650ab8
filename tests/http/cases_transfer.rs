//! Imports and exports that are none.

use http::Method;

use super::case::{Case, Place, get, post};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "an export without credentials",
        status: 401,
        code: "sign-in-required",
        place: Place::None,
        request: |s| get(&s.anonymous, "/db/todos/_export"),
    },
    Case {
        name: "an export with a filter that is none",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, "/db/todos/_export?filter=a%20%3D%3D"),
    },
    Case {
        name: "an export in pages",
        status: 400,
        code: "unknown-parameter",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos/_export?limit=10"),
    },
    Case {
        name: "an export of a collection that cannot be",
        status: 400,
        code: "invalid-collection",
        place: Place::None,
        request: |s| get(&s.user, "/db/A;DROP/_export"),
    },
    Case {
        name: "an import by another method",
        status: 405,
        code: "method-not-allowed",
        place: Place::None,
        request: |s| s.user.request(Method::PUT, "/db/bad/_import"),
    },
    Case {
        name: "an import without credentials",
        status: 401,
        code: "sign-in-required",
        place: Place::None,
        request: |s| lines(post(&s.anonymous, "/db/bad/_import", "{}")),
    },
    Case {
        name: "an import of JSON",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| post(&s.user, "/db/bad/_import", "[{}]"),
    },
    Case {
        name: "an import of a form",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| {
            let request = s.user.request(Method::POST, "/db/bad/_import");
            request.header("content-type", "text/plain").body("{}")
        },
    },
    Case {
        name: "an import of lines in another charset",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| {
            let request = s.user.request(Method::POST, "/db/bad/_import");
            request.header("content-type", "application/x-ndjson; charset=latin1").body("{}")
        },
    },
    Case {
        name: "an import of compressed lines",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| lines(post(&s.user, "/db/bad/_import", "{}")).header("content-encoding", "gzip"),
    },
    Case {
        name: "an import in a mode that is none",
        status: 400,
        code: "invalid-parameter",
        place: Place::Parameter,
        request: |s| lines(post(&s.user, "/db/bad/_import?mode=merge", "{}")),
    },
    Case {
        name: "an import with another answer to errors",
        status: 400,
        code: "invalid-parameter",
        place: Place::Parameter,
        request: |s| lines(post(&s.user, "/db/bad/_import?on_error=ignore", "{}")),
    },
    Case {
        name: "an import with a parameter that is none",
        status: 400,
        code: "unknown-parameter",
        place: Place::Parameter,
        request: |s| lines(post(&s.user, "/db/bad/_import?dry=1", "{}")),
    },
    Case {
        name: "an import by a user who would keep owners",
        status: 403,
        code: "admin-required",
        place: Place::None,
        request: |s| lines(post(&s.user, "/db/bad/_import?meta=keep", "{}")),
    },
    Case {
        name: "a second line that is none, all or nothing",
        status: 400,
        code: "invalid-json",
        place: Place::Pointer,
        request: |s| lines(post(&s.user, "/db/bad/_import?on_error=abort", "{\"a\":1}\n{\"a\":\n")),
    },
    Case {
        name: "a second line with a key twice, all or nothing",
        status: 400,
        code: "duplicate-key",
        place: Place::Pointer,
        request: |s| lines(post(&s.user, "/db/bad/_import?on_error=abort", "{}\n{\"a\":1,\"a\":2}\n")),
    },
    Case {
        name: "a line of more than a document may have, all or nothing",
        status: 413,
        code: "document-too-large",
        place: Place::Pointer,
        request: |s| {
            let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(1024 * 1024 + 1));
            lines(post(&s.user, "/db/bad/_import?on_error=abort", long))
        },
    },
    Case {
        name: "an id that is taken by another line, all or nothing",
        status: 409,
        code: "document-exists",
        place: Place::Pointer,
        request: |s| lines(post(&s.user, "/db/bad/_import?on_error=abort", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n")),
    },
];

fn lines(request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
    // The helpers say JSON; the last header of a name stands.
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/x-ndjson"));
    request.headers(headers)
}
