//! What is not a caller's to set stays as it is, however it is spelled and whichever way it is sent.
//!
//! One table: who sends, by which way, which member. The answers must be the same over all ways that do the same, and at
//! the end an administrator looks at every document.

use std::collections::BTreeMap;

use http::Method;
use serde_json::{Value, json};
use universal_tests::{client::Client, server::Server};

/// What is sent: members as text, because a spelling is of the text.
const ATTEMPTS: [&str; 33] = [
    // Hidden: administrators alone send it.
    r#""role": "evil""#,
    r#""ro\u006ce": "evil""#,
    r#""\u0072\u006f\u006c\u0065": "evil""#,
    r#""role": null"#,
    r#""role": {"$set_if_absent": "evil"}"#,
    r#""role": {"x": "evil"}"#,
    r#""role": "user", "role": "evil""#,
    r#""role": "user", "ro\u006ce": "evil""#,
    r#""Role": "evil""#,
    r#""role ": "evil""#,
    r#""role\u0000": "evil""#,
    r#""role.x": "evil""#,
    r#""profile": {"role": "evil"}"#,
    r#""__proto__": {"role": "evil"}"#,
    r#""$set": {"role": "evil"}"#,
    // Immutable, and set by the backend.
    r#""slug": "evil""#,
    r#""sl\u0075g": "evil""#,
    r#""slug": null"#,
    r#""edited_by": "evil""#,
    r#""edited\u005fby": "evil""#,
    r#""edited_by": {"$set_if_absent": "evil"}"#,
    // What the backend knows of a document.
    r#""_meta": {"owner": "evil", "revision": "evil-1", "created_at": "2001-01-01T00:00:00Z"}"#,
    r#""_m\u0065ta": {"owner": "evil", "created_at": "2001-01-01T00:00:00Z"}"#,
    r#""_meta.owner": "evil""#,
    r#""_owner": "evil""#,
    r#""_expand": {"owner": {"id": "evil"}}"#,
    r#""id": "evil""#,
    r#""i\u0064": "evil""#,
    r#""owner": "evil", "owner_id": "evil""#,
    r#""revision": "evil", "version": 0"#,
    r#""created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z""#,
    r#""tenant": "evil", "tenant_id": "evil""#,
    r#""collection": "evil""#,
];

/// The ways of a write. Those with one number do the same, and answer the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    Post,
    BatchCreate,
    ImportNew,
    PutNew,
    UpsertNew,
    BatchReplaceNew,
    Put,
    PutIfThere,
    BatchReplace,
    ImportOver,
    Patch,
    PatchAsMerge,
    BatchPatch,
}

const WAYS: [(Way, usize); 13] = [
    (Way::Post, 0),
    (Way::BatchCreate, 0),
    (Way::ImportNew, 0),
    (Way::PutNew, 1),
    (Way::UpsertNew, 1),
    (Way::BatchReplaceNew, 1),
    (Way::Put, 2),
    (Way::PutIfThere, 2),
    (Way::BatchReplace, 2),
    (Way::ImportOver, 2),
    (Way::Patch, 3),
    (Way::PatchAsMerge, 3),
    (Way::BatchPatch, 3),
];

impl Way {
    fn is_new(self) -> bool {
        self < Self::Put
    }

    /// The request that sends `members` as the document `id`, or as a patch of it.
    async fn send(self, client: &Client, id: &str, members: &str) -> (u16, String) {
        let path = format!("/db/accounts/{id}");
        let with_id = format!("{{\"id\": \"{id}\", {members}}}");
        let body = format!("{{{members}}}");
        let batch = |op: &str, name: &str| {
            format!(r#"{{"operations": [{{"op": "{op}", "collection": "accounts", "id": "{id}", "{name}": {body}}}]}}"#)
        };
        let json = ("Content-Type", "application/json");
        let (method, path, headers, text) = match self {
            Self::Post => (Method::POST, "/db/accounts".to_owned(), vec![json], with_id),
            Self::BatchCreate => (Method::POST, "/db".to_owned(), vec![json], batch("create", "body")),
            Self::PutNew | Self::Put => (Method::PUT, path, vec![json], body),
            Self::UpsertNew => (Method::PUT, path, vec![json, ("If-None-Match", "*")], body),
            Self::PutIfThere => (Method::PUT, path, vec![json, ("If-Match", "*")], body),
            Self::BatchReplace | Self::BatchReplaceNew => {
                (Method::POST, "/db".to_owned(), vec![json], batch("replace", "body"))
            }
            Self::ImportNew | Self::ImportOver => {
                let mode = if self == Self::ImportNew { "insert" } else { "upsert" };
                let path = format!("/db/accounts/_import?mode={mode}");
                (Method::POST, path, vec![("Content-Type", "application/x-ndjson")], with_id)
            }
            Self::Patch => (Method::PATCH, path, vec![json], body),
            Self::PatchAsMerge => (Method::PATCH, path, vec![("Content-Type", "application/merge-patch+json")], body),
            Self::BatchPatch => (Method::POST, "/db".to_owned(), vec![json], batch("patch", "patch")),
        };
        let request = headers
            .into_iter()
            .fold(client.request(method, &path), |request, (name, value)| request.header(name, value));
        let answer = client.send(request.body(text)).await;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        // An import reports what became of its line.
        let code = body.get("code").or_else(|| body.pointer("/errors/0/code")).and_then(Value::as_str);
        (answer.status, code.unwrap_or("done").to_owned())
    }
}

async fn prepare(admin: &Client, owner: &Client) {
    let settings = json!({"hidden": ["role"], "immutable": ["slug"], "server_set": {"edited_by": "caller"}});
    admin.put("/admin/collections/accounts", settings).await.expect(200);
    let mut lines = String::new();
    for who in ["nobody", "owner", "other", "admin"] {
        for (way, _) in WAYS.iter().filter(|(way, _)| !way.is_new()) {
            for attempt in 0..ATTEMPTS.len() {
                lines.push_str(&json!({"id": format!("{who}-{way:?}-{attempt}"), "slug": "one"}).to_string());
                lines.push('\n');
            }
        }
    }
    let count = lines.lines().count();
    let request = owner.request(Method::POST, "/db/accounts/_import").header("Content-Type", "application/x-ndjson");
    assert_eq!(owner.send(request.body(lines)).await.expect(200).json()["created"], count);
    let mut path = "/db/accounts?filter=true".to_owned();
    loop {
        let done = admin.patch(&path, json!({"role": "user"})).await.expect(200).json();
        match done["next_cursor"].as_str() {
            Some(cursor) => path = format!("/db/accounts?filter=true&cursor={cursor}"),
            None => break,
        }
    }
}

/// What a way must answer like the others: without credentials any refusal, which an import gives before it looks at its
/// lines; an id that is not the document's is one twice where the id is a member, and another one where it is in the path.
fn outcome<'a>(who: &str, code: &'a str) -> &'a str {
    match code {
        "done" => "done",
        _ if who == "nobody" => "refused",
        "duplicate-key" | "id-mismatch" => "another id, or a name twice",
        code => code,
    }
}

/// What is wrong with a document at the end.
fn judge(document: &Value, owners: &BTreeMap<&str, String>) -> Option<String> {
    let id = document["id"].as_str().unwrap();
    let who = id.split('-').next().unwrap();
    let is_new = WAYS.iter().any(|(way, _)| way.is_new() && id.contains(&format!("-{way:?}-")));
    let meta = &document["_meta"];
    let is_evil = |value: &Value| value.to_string().contains("evil");
    let owner = if is_new { &owners[who] } else { &owners["owner"] };
    let is_admins = who == "admin";
    let role = document.get("role");
    let found = [
        (meta["owner"] != owner.as_str(), "the owner"),
        (meta["created_at"].as_str().is_none_or(|at| at.starts_with("2001")), "the moment"),
        (is_evil(&meta["revision"]), "the revision"),
        (!is_admins && is_new && role.is_some(), "a hidden member of a new document"),
        (!is_admins && !is_new && role != Some(&json!("user")), "the hidden member"),
        (!is_admins && !is_new && document["slug"] != "one", "the immutable member"),
        (!is_admins && is_evil(&document["edited_by"]), "what the backend sets"),
        (document.get("_owner").is_some() || document.get("$set").is_some(), "a reserved name"),
    ];
    let wrong: Vec<_> = found.iter().filter(|(is_wrong, _)| *is_wrong).map(|(_, what)| *what).collect();
    (!wrong.is_empty()).then(|| format!("{} changed: {document}", wrong.join(", ")))
}

async fn protected(server: Server) {
    let (admin, owner, other) =
        (server.admin().await, server.client().someone().await, server.client().someone().await);
    prepare(&admin, &owner).await;
    let callers =
        [("nobody", server.client()), ("owner", owner.clone()), ("other", other.clone()), ("admin", admin.clone())];
    let mut differ = Vec::new();
    for (who, client) in &callers {
        for (number, attempt) in ATTEMPTS.iter().enumerate() {
            let mut answers: BTreeMap<usize, Vec<(Way, u16, String)>> = BTreeMap::new();
            for (way, group) in WAYS {
                // A replacement keeps what is immutable, unless that is what it is about.
                let keeps = !attempt.contains("slug") && !attempt.contains("sl\\u0075g") && group < 3;
                let members = if keeps { format!("\"slug\": \"one\", {attempt}") } else { (*attempt).to_owned() };
                let (status, code) = way.send(client, &format!("{who}-{way:?}-{number}"), &members).await;
                assert!(status < 500, "{who} {way:?} {attempt}: {status} {code}");
                if *who == "nobody" {
                    assert_ne!(code, "done", "{way:?} {attempt}");
                }
                answers.entry(group).or_default().push((way, status, code));
            }
            for same in answers.into_values() {
                if same.iter().any(|(_, _, code)| outcome(who, code) != outcome(who, &same[0].2)) {
                    differ.push(format!("{who} {attempt}: {same:?}"));
                }
            }
        }
    }
    assert!(differ.is_empty(), "ways that do the same answer otherwise:\n{}", differ.join("\n"));
    let owners = callers[1..].iter().map(|(who, client)| (*who, client.user_id().to_owned())).collect();
    let exported = admin.read("/db/accounts/_export").await.expect(200).text();
    let documents: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(documents.iter().any(|document| document["id"] == "owner-Post-12"), "nothing was written");
    let wrong: Vec<_> = documents.iter().filter_map(|document| judge(document, &owners)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{} writes, {} documents", callers.len() * WAYS.len() * ATTEMPTS.len(), documents.len());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_members_stay_as_they_are_on_sqlite() {
    protected(Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protected_members_stay_as_they_are_on_postgresql() {
    protected(Server::postgres().await).await;
}
