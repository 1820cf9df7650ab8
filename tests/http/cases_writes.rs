//! Batches, writes by filter and idempotency keys that are none.

use http::Method;
use reqwest::RequestBuilder;

use super::case::{Case, Place, Scene, escaped, patch, post};

fn batch(s: &Scene, operations: &str) -> RequestBuilder {
    post(&s.user, "/db", format!("{{\"operations\":[{operations}]}}"))
}

fn delete(s: &Scene, path: &str) -> RequestBuilder {
    s.user.request(Method::DELETE, path)
}

fn keyed(s: &Scene, key: &str) -> RequestBuilder {
    post(&s.user, "/db/bad", "{}").header("idempotency-key", key)
}

/// A document of about so many bytes.
fn large(bytes: usize) -> String {
    format!("{{\"op\":\"create\",\"collection\":\"bad\",\"body\":{{\"a\":\"{}\"}}}}", "x".repeat(bytes))
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a batch that is no object",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| post(&s.user, "/db", "[]"),
    },
    Case {
        name: "a batch without operations",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| post(&s.user, "/db", "{}"),
    },
    Case {
        name: "a batch that ends too early",
        status: 400,
        code: "invalid-json",
        place: Place::Position,
        request: |s| post(&s.user, "/db", "{\"operations\":[{"),
    },
    Case {
        name: "a batch with a parameter",
        status: 400,
        code: "unknown-parameter",
        place: Place::Parameter,
        request: |s| post(&s.user, "/db?filter=true", "{\"operations\":[]}"),
    },
    Case {
        name: "a batch with a condition",
        status: 400,
        code: "invalid-condition",
        place: Place::Parameter,
        request: |s| post(&s.user, "/db", "{\"operations\":[]}").header("if-match", "*"),
    },
    Case {
        name: "a batch that is read",
        status: 405,
        code: "method-not-allowed",
        place: Place::None,
        request: |s| s.user.request(Method::GET, "/db"),
    },
    Case {
        name: "an unknown op",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| batch(s, "{\"op\":\"upsert\",\"collection\":\"bad\",\"id\":\"x\",\"body\":{}}"),
    },
    Case {
        name: "an operation without an id",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| batch(s, "{\"op\":\"delete\",\"collection\":\"bad\"}"),
    },
    Case {
        name: "an operation that is a number",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| batch(s, "1"),
    },
    Case {
        name: "a collection that is no name",
        status: 400,
        code: "invalid-collection",
        place: Place::Pointer,
        request: |s| {
            batch(s, "{\"op\":\"get\",\"collection\":\"x'; DROP TABLE universal_documents; --\",\"id\":\"x\"}")
        },
    },
    Case {
        name: "a body with an operation",
        status: 400,
        code: "reserved-key",
        place: Place::Pointer,
        request: |s| batch(s, "{\"op\":\"create\",\"collection\":\"bad\",\"body\":{\"a\":{\"b\":[{\"$inc\":1}]}}}"),
    },
    Case {
        name: "a body of a batch with a key twice",
        status: 400,
        code: "duplicate-key",
        place: Place::Position,
        request: |s| batch(s, "{\"op\":\"create\",\"collection\":\"bad\",\"body\":{\"a\":1,\"\\u0061\":2}}"),
    },
    Case {
        name: "a body of a batch with half a surrogate pair",
        status: 400,
        code: "invalid-text",
        place: Place::Position,
        request: |s| batch(s, "{\"op\":\"create\",\"collection\":\"bad\",\"body\":{\"a\":\"\\ud800\"}}"),
    },
    Case {
        name: "a body of a batch of depth 100 000",
        status: 400,
        code: "json-too-deep",
        place: Place::Position,
        request: |s| {
            let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
            batch(s, &format!("{{\"op\":\"create\",\"collection\":\"bad\",\"body\":{{\"a\":{deep}}}}}"))
        },
    },
    Case {
        name: "a document above the limit in a batch",
        status: 413,
        code: "document-too-large",
        place: Place::Pointer,
        request: |s| batch(s, &large(1024 * 1024)),
    },
    Case {
        name: "a batch of 4 MiB and a byte",
        status: 413,
        code: "body-too-large",
        place: Place::None,
        request: |s| {
            let text = "{\"operations\":[]}";
            post(&s.user, "/db", format!("{text}{}", " ".repeat(4 * 1024 * 1024 + 1 - text.len())))
        },
    },
    Case {
        name: "501 operations",
        status: 413,
        code: "batch-too-large",
        place: Place::Pointer,
        request: |s| batch(s, &vec!["{\"op\":\"create\",\"collection\":\"bad\",\"body\":{}}"; 501].join(",")),
    },
    Case {
        name: "a batch whose last operation fails",
        status: 404,
        code: "document-not-found",
        place: Place::Pointer,
        request: |s| {
            let first = "{\"op\":\"create\",\"collection\":\"bad\",\"body\":{\"a\":1}}";
            batch(s, &format!("{first},{{\"op\":\"get\",\"collection\":\"bad\",\"id\":\"nothing\"}}"))
        },
    },
    Case {
        name: "one document twice, the second time by its first revision",
        status: 412,
        code: "document-exists",
        place: Place::Pointer,
        request: |s| {
            let one = "{\"op\":\"replace\",\"collection\":\"bad\",\"id\":\"x\",\"body\":{},\"if_none_match\":\"*\"}";
            batch(s, &format!("{one},{one}"))
        },
    },
    Case {
        name: "somebody else's document in a batch",
        status: 404,
        code: "document-not-found",
        place: Place::Pointer,
        request: |s| {
            let operation = format!("{{\"op\":\"delete\",\"collection\":\"todos\",\"id\":\"{}\"}}", s.document);
            post(&s.other, "/db", format!("{{\"operations\":[{operation}]}}"))
        },
    },
    Case {
        name: "a batch of nobody",
        status: 401,
        code: "sign-in-required",
        place: Place::Pointer,
        request: |s| {
            post(&s.anonymous, "/db", "{\"operations\":[{\"op\":\"create\",\"collection\":\"bad\",\"body\":{}}]}")
        },
    },
    Case {
        name: "an operand with an operation",
        status: 400,
        code: "misplaced-operation",
        place: Place::Pointer,
        request: |s| patch(&s.user, &format!("/db/todos/{}", s.document), "{\"a\":{\"$append\":{\"$inc\":1}}}"),
    },
    Case {
        name: "appending to a text",
        status: 400,
        code: "operation-does-not-fit",
        place: Place::Pointer,
        request: |s| patch(&s.user, &format!("/db/todos/{}", s.document), "{\"title\":{\"$append\":1}}"),
    },
    Case {
        name: "now that is not true",
        status: 400,
        code: "operation-does-not-fit",
        place: Place::Pointer,
        request: |s| patch(&s.user, &format!("/db/todos/{}", s.document), "{\"a\":{\"$now\":\"yes\"}}"),
    },
    Case {
        name: "a deletion by filter without a filter",
        status: 400,
        code: "missing-parameter",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos"),
    },
    Case {
        name: "a deletion by an empty filter",
        status: 400,
        code: "missing-parameter",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos?filter=%20"),
    },
    Case {
        name: "a deletion by a filter that is none",
        status: 400,
        code: "invalid-filter",
        place: Place::Position,
        request: |s| delete(s, &format!("/db/todos?filter={}", escaped("title == 'x' OR 1=1"))),
    },
    Case {
        name: "a deletion of 501",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos?filter=true&limit=501"),
    },
    Case {
        name: "a deletion of none",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos?filter=true&limit=0"),
    },
    Case {
        name: "a deletion in an order",
        status: 400,
        code: "unknown-parameter",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos?filter=true&sort=title"),
    },
    Case {
        name: "a deletion by filter with a condition",
        status: 400,
        code: "invalid-condition",
        place: Place::Parameter,
        request: |s| delete(s, "/db/todos?filter=true").header("if-match", "\"a-1\""),
    },
    Case {
        name: "a deletion from a cursor of another filter",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| delete(s, &format!("/db/todos?filter=true&cursor={}", s.cursor)),
    },
    Case {
        name: "a deletion by filter of nobody",
        status: 401,
        code: "sign-in-required",
        place: Place::None,
        request: |s| s.anonymous.request(Method::DELETE, "/db/todos?filter=true"),
    },
    Case {
        name: "a patch by filter that is a list",
        status: 400,
        code: "not-an-object",
        place: Place::None,
        request: |s| patch(&s.user, "/db/todos?filter=true", "[]"),
    },
    Case {
        name: "an empty key",
        status: 400,
        code: "invalid-idempotency-key",
        place: Place::Parameter,
        request: |s| keyed(s, ""),
    },
    Case {
        name: "a key with a space",
        status: 400,
        code: "invalid-idempotency-key",
        place: Place::Parameter,
        request: |s| keyed(s, "a b"),
    },
    Case {
        name: "a key of 256 characters",
        status: 400,
        code: "invalid-idempotency-key",
        place: Place::Parameter,
        request: |s| keyed(s, &"x".repeat(256)),
    },
    Case {
        name: "a key beyond ASCII",
        status: 400,
        code: "invalid-idempotency-key",
        place: Place::Parameter,
        request: |s| keyed(s, "schlüssel"),
    },
    Case {
        name: "two keys",
        status: 400,
        code: "invalid-idempotency-key",
        place: Place::Parameter,
        request: |s| keyed(s, "a").header("idempotency-key", "b"),
    },
    Case {
        name: "a key of nobody",
        status: 401,
        code: "sign-in-required",
        place: Place::Parameter,
        request: |s| post(&s.anonymous, "/db/bad", "{}").header("idempotency-key", "a"),
    },
];
