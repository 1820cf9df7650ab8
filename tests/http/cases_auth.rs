//! Accounts that are none, and tokens that are forged.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::case::{Case, Place, Scene, get, post};

/// `GET /auth/me` with this instead of a good `Authorization`.
fn bearing(scene: &Scene, value: &str) -> reqwest::RequestBuilder {
    get(&scene.anonymous, "/auth/me").header("authorization", value)
}

/// The user's token with another header, another body or another signature.
fn forged(scene: &Scene, change: impl Fn(&mut Vec<String>)) -> reqwest::RequestBuilder {
    let mut parts: Vec<String> = scene.user.token().split('.').map(str::to_owned).collect();
    change(&mut parts);
    bearing(scene, &format!("Bearer {}", parts.join(".")))
}

pub(super) const CASES: &[Case] = &[
    Case {
        name: "register: JSON that ends too early",
        status: 400,
        code: "invalid-json",
        place: Place::Position,
        request: |s| post(&s.anonymous, "/auth/register", "{\"email\":"),
    },
    Case {
        name: "register: no password",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| post(&s.anonymous, "/auth/register", "{\"email\":\"a@example.test\"}"),
    },
    Case {
        name: "register: a field nobody knows",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| {
            post(
                &s.anonymous,
                "/auth/register",
                "{\"email\":\"a@example.test\",\"password\":\"correct horse battery\",\"roles\":[\"admin\"]}",
            )
        },
    },
    Case {
        name: "register: a field twice",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| {
            let body =
                "{\"email\":\"a@example.test\",\"email\":\"b@example.test\",\"password\":\"correct horse battery\"}";
            post(&s.anonymous, "/auth/register", body)
        },
    },
    Case {
        name: "register: an operator as the address",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| {
            post(&s.anonymous, "/auth/register", "{\"email\":{\"$ne\":null},\"password\":\"correct horse battery\"}")
        },
    },
    Case {
        name: "register: no address",
        status: 400,
        code: "invalid-email",
        place: Place::Pointer,
        request: |s| {
            post(&s.anonymous, "/auth/register", "{\"email\":\"nobody\",\"password\":\"correct horse battery\"}")
        },
    },
    Case {
        name: "register: an address with NUL",
        status: 400,
        code: "invalid-email",
        place: Place::Pointer,
        request: |s| {
            post(
                &s.anonymous,
                "/auth/register",
                "{\"email\":\"a\\u0000@example.test\",\"password\":\"correct horse battery\"}",
            )
        },
    },
    Case {
        name: "register: an address with a line break",
        status: 400,
        code: "invalid-email",
        place: Place::Pointer,
        request: |s| {
            post(
                &s.anonymous,
                "/auth/register",
                "{\"email\":\"a@example.test\\r\\nBcc: b@example.test\",\"password\":\"correct horse battery\"}",
            )
        },
    },
    Case {
        name: "register: a short password",
        status: 400,
        code: "password-too-short",
        place: Place::Pointer,
        request: |s| post(&s.anonymous, "/auth/register", "{\"email\":\"a@example.test\",\"password\":\"short\"}"),
    },
    Case {
        name: "register: a password of 100 000 letters",
        status: 400,
        code: "password-too-long",
        place: Place::Pointer,
        request: |s| {
            post(
                &s.anonymous,
                "/auth/register",
                format!("{{\"email\":\"a@example.test\",\"password\":\"{}\"}}", "x".repeat(100_000)),
            )
        },
    },
    Case {
        name: "register: 2 MiB",
        status: 413,
        code: "body-too-large",
        place: Place::None,
        request: |s| post(&s.anonymous, "/auth/register", format!("{{\"email\":\"{}\"}}", "x".repeat(2 * 1024 * 1024))),
    },
    Case {
        name: "login: a list as the password",
        status: 400,
        code: "invalid-body",
        place: Place::Pointer,
        request: |s| post(&s.anonymous, "/auth/login", "{\"email\":\"a@example.test\",\"password\":[\"x\"]}"),
    },
    Case {
        name: "login: nobody of that name",
        status: 401,
        code: "invalid-credentials",
        place: Place::None,
        request: |s| {
            post(
                &s.anonymous,
                "/auth/login",
                "{\"email\":\"nobody@example.test\",\"password\":\"correct horse battery\"}",
            )
        },
    },
    Case {
        name: "refresh: an invented token",
        status: 401,
        code: "invalid-refresh-token",
        place: Place::None,
        request: |s| post(&s.anonymous, "/auth/refresh", "{\"refresh_token\":\"invented\"}"),
    },
    Case {
        name: "refresh: an access token",
        status: 401,
        code: "invalid-refresh-token",
        place: Place::None,
        request: |s| post(&s.anonymous, "/auth/refresh", format!("{{\"refresh_token\":\"{}\"}}", s.user.token())),
    },
    Case {
        name: "no credentials",
        status: 401,
        code: "unauthenticated",
        place: Place::None,
        request: |s| get(&s.anonymous, "/auth/me"),
    },
    Case {
        name: "an empty token",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| bearing(s, "Bearer "),
    },
    Case {
        name: "an invented token",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| bearing(s, "Bearer abc"),
    },
    Case {
        name: "three invented parts",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| bearing(s, "Bearer a.b.c"),
    },
    Case {
        name: "another scheme",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| bearing(s, "Basic YTpi"),
    },
    Case {
        name: "a refresh token as an access token",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| bearing(s, &format!("Bearer {}", s.user.refresh_token())),
    },
    Case {
        name: "a token without its signature",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| forged(s, |parts| parts[2].clear()),
    },
    Case {
        name: "a token with half its signature",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| forged(s, |parts| parts[2].truncate(40)),
    },
    Case {
        name: "a token with another signature",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| {
            forged(s, |parts| {
                let first = if parts[2].starts_with('A') { "B" } else { "A" };
                parts[2].replace_range(..1, first);
            })
        },
    },
    Case {
        name: "a token that wants no signature",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| {
            forged(s, |parts| {
                parts[0] = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\",\"typ\":\"JWT\"}");
                parts[2].clear();
            })
        },
    },
    Case {
        name: "a token with another algorithm",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| forged(s, |parts| parts[0] = URL_SAFE_NO_PAD.encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}")),
    },
    Case {
        name: "a token with another body",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| forged(s, |parts| parts[1] = URL_SAFE_NO_PAD.encode("{\"sub\":\"admin\",\"exp\":9999999999}")),
    },
    Case {
        name: "a token of 100 000 signs",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| forged(s, |parts| parts[1] = "A".repeat(12_000)),
    },
    Case {
        name: "a bad token where none is needed",
        status: 401,
        code: "invalid-token",
        place: Place::None,
        request: |s| get(&s.anonymous, "/db/todos").header("authorization", "Bearer abc"),
    },
];
