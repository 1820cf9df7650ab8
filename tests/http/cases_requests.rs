//! Paths, methods, media types, parameters and cursors that are none.

use http::Method;

use super::case::{Case, Place, escaped, get, post, put};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "no such route",
        status: 404,
        code: "unknown-route",
        place: Place::None,
        request: |s| get(&s.user, "/nowhere"),
    },
    Case { name: "the root", status: 404, code: "unknown-route", place: Place::None, request: |s| get(&s.user, "/") },
    Case {
        name: "a route with a slash more",
        status: 404,
        code: "unknown-route",
        place: Place::None,
        request: |s| get(&s.user, "/db/todos/"),
    },
    Case {
        name: "a wrong method",
        status: 405,
        code: "method-not-allowed",
        place: Place::None,
        request: |s| s.user.request(Method::PUT, "/db/todos"),
    },
    Case {
        name: "a method nobody knows",
        status: 405,
        code: "method-not-allowed",
        place: Place::None,
        request: |s| s.user.request(Method::from_bytes(b"BREW").unwrap_or_default(), "/db/todos"),
    },
    Case {
        name: "a text",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| s.user.request(Method::POST, "/db/bad").header("content-type", "text/plain").body("{\"a\":1}"),
    },
    Case {
        name: "a form",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| {
            s.user
                .request(Method::POST, "/db/bad")
                .header("content-type", "application/x-www-form-urlencoded")
                .body("a=1")
        },
    },
    Case {
        name: "no media type",
        status: 415,
        code: "unsupported-media-type",
        place: Place::Parameter,
        request: |s| s.user.request(Method::POST, "/db/bad").body("{\"a\":1}"),
    },
    Case {
        name: "an address of 9 KiB",
        status: 414,
        code: "uri-too-long",
        place: Place::None,
        request: |s| get(&s.user, &format!("/db/todos?filter={}", "a".repeat(9 * 1024))),
    },
    Case {
        name: "a collection in capitals",
        status: 400,
        code: "invalid-collection",
        place: Place::Parameter,
        request: |s| post(&s.user, "/db/Bad", "{\"a\":1}"),
    },
    Case {
        name: "a collection with a slash",
        status: 400,
        code: "invalid-collection",
        place: Place::Parameter,
        request: |s| post(&s.user, "/db/a%2Fb", "{\"a\":1}"),
    },
    Case {
        name: "a collection of 64 letters",
        status: 400,
        code: "invalid-collection",
        place: Place::Parameter,
        request: |s| post(&s.user, &format!("/db/{}", "a".repeat(64)), "{\"a\":1}"),
    },
    Case {
        name: "an id of ours",
        status: 400,
        code: "invalid-id",
        place: Place::Parameter,
        request: |s| put(&s.user, "/db/bad/_x", "{\"a\":1}"),
    },
    Case {
        name: "an id of 129 bytes",
        status: 400,
        code: "invalid-id",
        place: Place::Parameter,
        request: |s| put(&s.user, &format!("/db/bad/{}", "a".repeat(129)), "{\"a\":1}"),
    },
    Case {
        name: "an id with NUL",
        status: 400,
        code: "invalid-id",
        place: Place::Parameter,
        request: |s| put(&s.user, "/db/bad/a%00b", "{\"a\":1}"),
    },
    Case {
        name: "an id with a line break",
        status: 400,
        code: "invalid-id",
        place: Place::Parameter,
        request: |s| put(&s.user, "/db/bad/a%0Ab", "{\"a\":1}"),
    },
    Case {
        name: "an id that is not UTF-8",
        status: 400,
        code: "invalid-path",
        place: Place::Parameter,
        request: |s| put(&s.user, "/db/bad/a%FFb", "{\"a\":1}"),
    },
    Case {
        name: "an id in the body that is none",
        status: 400,
        code: "invalid-id",
        place: Place::Pointer,
        request: |s| post(&s.user, "/db/bad", "{\"id\":7}"),
    },
    Case {
        name: "limit 0",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=0"),
    },
    Case {
        name: "limit -1",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=-1"),
    },
    Case {
        name: "limit 501",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=501"),
    },
    Case {
        name: "limit 99999999999999999999",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=99999999999999999999"),
    },
    Case {
        name: "limit ten",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=ten"),
    },
    Case {
        name: "an unknown parameter",
        status: 400,
        code: "unknown-parameter",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limits=10"),
    },
    Case {
        name: "a parameter twice",
        status: 400,
        code: "repeated-parameter",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=10&limit=20"),
    },
    Case {
        name: "a filter that ends too early",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, &format!("/db/todos?filter={}", escaped("title =="))),
    },
    Case {
        name: "SQL as a filter",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, &format!("/db/todos?filter={}", escaped("title = '' OR 1=1 --"))),
    },
    Case {
        name: "a filter that is no condition",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, &format!("/db/todos?filter={}", escaped("\"a\""))),
    },
    Case {
        name: "a filter of depth 1 000",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| get(&s.user, &format!("/db/todos?filter={}true{}", "(".repeat(1000), ")".repeat(1000))),
    },
    Case {
        name: "a sort key that is none",
        status: 400,
        code: "invalid-sort",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?sort=-"),
    },
    Case {
        name: "SQL as a sort key",
        status: 400,
        code: "invalid-sort",
        place: Place::Parameter,
        request: |s| get(&s.user, &format!("/db/todos?sort={}", escaped("title; DROP TABLE documents"))),
    },
    Case {
        name: "a sort key twice",
        status: 400,
        code: "invalid-sort",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?sort=title,-title"),
    },
    Case {
        name: "five sort keys",
        status: 400,
        code: "invalid-sort",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?sort=a,b,c,d,e"),
    },
    Case {
        name: "an invented cursor",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, "/db/todos?limit=1&cursor=AAAA"),
    },
    Case {
        name: "a cursor with one sign changed",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| {
            let middle = s.cursor.len() / 2;
            let (head, tail) = s.cursor.split_at(middle);
            let changed = if tail.starts_with('A') { 'B' } else { 'A' };
            get(&s.user, &format!("/db/todos?limit=1&cursor={head}{changed}{}", &tail[1..]))
        },
    },
    Case {
        name: "a cursor of another collection",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, &format!("/db/bad?limit=1&cursor={}", s.cursor)),
    },
    Case {
        name: "a cursor of another order",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, &format!("/db/todos?limit=1&sort=-title&cursor={}", s.cursor)),
    },
    Case {
        name: "a cursor of another filter",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, &format!("/db/todos?limit=1&filter={}&cursor={}", escaped("n > 1"), s.cursor)),
    },
];
