//! Names of files that are none, ranges and links that are forged, functions nobody knows.

use http::Method;

use super::case::{Case, Place, get, post};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "a bucket in capitals",
        status: 400,
        code: "invalid-bucket",
        place: Place::Parameter,
        request: |s| s.user.request(Method::PUT, "/storage/BAD/a").body("x"),
    },
    Case {
        name: "a key with NUL",
        status: 400,
        code: "invalid-key",
        place: Place::Parameter,
        request: |s| s.user.request(Method::PUT, "/storage/files/a%00b").body("x"),
    },
    Case {
        name: "a key that climbs",
        status: 400,
        code: "invalid-key",
        place: Place::Parameter,
        request: |s| s.user.request(Method::PUT, "/storage/files/a%2F..%2F..%2Fb").body("x"),
    },
    Case {
        name: "a key of 1 025 bytes",
        status: 400,
        code: "invalid-key",
        place: Place::Parameter,
        request: |s| s.user.request(Method::PUT, &format!("/storage/files/{}", "a".repeat(1025))).body("x"),
    },
    Case {
        name: "a file nobody stored",
        status: 404,
        code: "object-not-found",
        place: Place::None,
        request: |s| get(&s.user, "/storage/files/nothing"),
    },
    Case {
        name: "a file from nobody",
        status: 401,
        code: "sign-in-required",
        place: Place::None,
        request: |s| s.anonymous.request(Method::PUT, "/storage/files/a").body("x"),
    },
    Case {
        name: "list: limit 0",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/storage/files?limit=0"),
    },
    Case {
        name: "list: an invented cursor",
        status: 400,
        code: "invalid-cursor",
        place: Place::Parameter,
        request: |s| get(&s.user, "/storage/files?cursor=AAAA"),
    },
    Case {
        name: "presign: a field nobody knows",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| {
            post(&s.user, "/storage/_presign", "{\"method\":\"PUT\",\"bucket\":\"files\",\"key\":\"a\",\"admin\":true}")
        },
    },
    Case {
        name: "presign: a method nobody knows",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| post(&s.user, "/storage/_presign", "{\"method\":\"BREW\",\"bucket\":\"files\",\"key\":\"a\"}"),
    },
    Case {
        name: "a function nobody knows",
        status: 404,
        code: "function-not-found",
        place: Place::None,
        request: |s| post(&s.user, "/functions/nothing/run", "{}"),
    },
    Case {
        name: "a function by an impossible name",
        status: 400,
        code: "invalid-function-name",
        place: Place::Parameter,
        request: |s| post(&s.user, "/functions/NO%20NAME/run", "{}"),
    },
    Case {
        name: "a mode nobody knows",
        status: 400,
        code: "invalid-mode",
        place: Place::Parameter,
        request: |s| post(&s.user, "/functions/send_email/run?mode=later", "{}"),
    },
    Case {
        name: "a job nobody ordered",
        status: 404,
        code: "job-not-found",
        place: Place::None,
        request: |s| get(&s.user, "/jobs/01890000-0000-7000-8000-000000000000"),
    },
    Case {
        name: "a job by an impossible id",
        status: 404,
        code: "job-not-found",
        place: Place::None,
        request: |s| get(&s.user, "/jobs/x%00y"),
    },
    Case {
        name: "jobs: limit 501",
        status: 400,
        code: "invalid-limit",
        place: Place::Parameter,
        request: |s| get(&s.user, "/jobs?limit=501"),
    },
    Case {
        name: "jobs: from nobody",
        status: 401,
        code: "unauthenticated",
        place: Place::None,
        request: |s| get(&s.anonymous, "/jobs"),
    },
];
