//! Files over the wire: what comes back, in ranges, under conditions, by link, and as what a browser may take it.

use http::Method;
use serde_json::{Value, json};
use universal_tests::{
    client::{Answer, Client},
    server::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn files_on_sqlite_and_disk() {
    tour(&Server::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_on_postgres_and_disk() {
    tour(&Server::postgres().await).await;
}

async fn tour(server: &Server) {
    let client = server.client().someone().await;
    objects(&client).await;
    ranges(&client).await;
    conditions(&client).await;
    lists(&client).await;
    links(server, &client).await;
    bodies(&client).await;
    browsers(&client).await;
    others(server, &client).await;
}

async fn put(client: &Client, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    client.send(client.request(Method::PUT, path).header("content-type", content_type).body(body)).await
}

async fn read_with(client: &Client, path: &str, header: &str, value: &str) -> Answer {
    client.send(client.request(Method::GET, path).header(header, value)).await
}

async fn objects(client: &Client) {
    let path = "/storage/files/a%20b/%C3%BC.txt";
    let created = put(client, path, "text/plain", "hello").await.expect(201);
    assert!(created.header("location").ends_with(path), "{}", created.header("location"));
    let object = created.json();
    assert_eq!((&object["bucket"], &object["key"], &object["size"]), (&json!("files"), &json!("a b/ü.txt"), &json!(5)));
    assert_eq!(object["owner"], client.user_id());
    assert_eq!(object["sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");

    let read = client.read(path).await.expect(200);
    assert_eq!((read.text().as_str(), read.header("content-type")), ("hello", "text/plain"));
    assert_eq!((read.header("content-length"), read.header("accept-ranges")), ("5", "bytes"));
    assert_eq!(read.header("etag"), created.header("etag"));
    assert!(read.header("last-modified").ends_with("GMT"));
    assert_eq!(read.header("repr-digest"), "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:");
    assert_eq!(read.header("content-disposition"), "inline; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt");
    let head = client.send(client.request(Method::HEAD, path)).await.expect(200);
    assert_eq!((head.header("content-length"), head.header("etag")), ("5", read.header("etag")));
    assert!(head.body.is_empty());

    let replaced = put(client, path, "text/plain", "again").await.expect(200);
    assert_ne!(replaced.header("etag"), created.header("etag"));
    assert_eq!(replaced.json()["created_at"], object["created_at"]);
    client.delete(path).await.expect(204);
    assert_eq!(client.read(path).await.expect(404).code(), "object-not-found");
    assert_eq!(client.delete(path).await.expect(404).code(), "object-not-found");

    let empty = put(client, "/storage/files/empty", "text/plain", "").await.expect(201);
    assert_eq!(empty.json()["size"], 0);
    assert_eq!(client.read("/storage/files/empty").await.expect(200).header("content-length"), "0");
}

async fn ranges(client: &Client) {
    let path = "/storage/files/digits";
    let tag = put(client, path, "text/plain", "0123456789").await.expect(201).header("etag").to_owned();
    for (range, part, shown) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-5", "345", "bytes 3-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=-99", "0123456789", "bytes 0-9/10"),
        ("bytes=8-18446744073709551616", "89", "bytes 8-9/10"),
    ] {
        let answer = read_with(client, path, "range", range).await.expect(206);
        assert_eq!((answer.text().as_str(), answer.header("content-range")), (part, shown), "{range}");
    }
    let many = format!("bytes={}", (0..1000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
    for range in [
        "bytes=-0",
        "bytes=10-",
        "bytes=5-3",
        "bytes=18446744073709551616-",
        "bytes=a-b",
        "lines=0-1",
        "x",
        "bytes=0-1,3-4",
        &many,
    ] {
        let answer = read_with(client, path, "range", range).await.expect(416);
        assert_eq!(
            (answer.code().as_str(), answer.header("content-range")),
            ("range-not-satisfiable", "bytes */10"),
            "{range}"
        );
    }
    let with_if = |value: String| {
        client.send(client.request(Method::GET, path).header("range", "bytes=0-1").header("if-range", value))
    };
    assert_eq!(with_if(tag.clone()).await.expect(206).text(), "01");
    assert_eq!(with_if("\"other\"".into()).await.expect(200).text(), "0123456789");
    assert_eq!(with_if(format!("W/{tag}")).await.expect(200).text(), "0123456789");
    let unknown = read_with(client, "/storage/files/nothing", "range", "bytes=5-3").await.expect(404);
    assert_eq!(unknown.code(), "object-not-found");
}

async fn conditions(client: &Client) {
    let path = "/storage/files/conditions";
    let with = |method: Method, header: &'static str, value: String| {
        client.send(client.request(method, path).header(header, value).body("x"))
    };
    assert_eq!(with(Method::PUT, "if-match", "*".into()).await.expect(412).code(), "stale-revision");
    let tag = with(Method::PUT, "if-none-match", "*".into()).await.expect(201).header("etag").to_owned();
    assert_eq!(with(Method::PUT, "if-none-match", "*".into()).await.expect(412).code(), "object-exists");
    assert_eq!(with(Method::PUT, "if-match", "\"other\"".into()).await.expect(412).code(), "stale-revision");
    let known = read_with(client, path, "if-none-match", &tag).await.expect(304);
    assert_eq!((known.header("etag"), known.body.len()), (tag.as_str(), 0));
    read_with(client, path, "if-none-match", "\"other\"").await.expect(200);
    read_with(client, path, "if-match", &tag).await.expect(200);
    read_with(client, path, "if-match", "\"other\"").await.expect(412);
    assert_eq!(read_with(client, path, "if-match", "other").await.expect(400).code(), "invalid-condition");
    let newer = with(Method::PUT, "if-match", tag.clone()).await.expect(200).header("etag").to_owned();
    assert_eq!(with(Method::DELETE, "if-match", tag).await.expect(412).code(), "stale-revision");
    with(Method::DELETE, "if-match", newer).await.expect(204);
}

async fn lists(client: &Client) {
    for key in ["b", "a/1", "a/2", "c"] {
        put(client, &format!("/storage/lists/{key}"), "text/plain", "x").await.expect(201);
    }
    let keys = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["key"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let page = client.read("/storage/lists?delimiter=/").await.expect(200).json();
    assert_eq!(
        (keys(&page), &page["prefixes"], &page["next_cursor"]),
        (vec!["b".into(), "c".into()], &json!(["a/"]), &Value::Null)
    );
    let first = client.read("/storage/lists?limit=3").await.expect(200).json();
    assert_eq!(keys(&first), ["a/1", "a/2", "b"]);
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let second = client.read(&format!("/storage/lists?limit=3&cursor={cursor}")).await.expect(200).json();
    assert_eq!(keys(&second), ["c"]);
    let other = client.read(&format!("/storage/lists?prefix=a&cursor={cursor}")).await.expect(400);
    assert_eq!(other.code(), "invalid-cursor");
    assert_eq!(keys(&client.read("/storage/lists?prefix=a/").await.expect(200).json()), ["a/1", "a/2"]);
    assert_eq!(keys(&client.read("/storage/nothing-here").await.expect(200).json()).len(), 0);
}

/// A link's path below the server's address.
async fn link(client: &Client, body: Value) -> String {
    let answer = client.post("/storage/_presign", body).await.expect(200).json();
    let url = answer["url"].as_str().expect("a url");
    url.find("/storage/_signed/").map(|at| url[at..].to_owned()).expect("a signed link")
}

async fn links(server: &Server, client: &Client) {
    let anonymous = server.client();
    put(client, "/storage/files/shared", "text/plain", "shared").await.expect(201);
    let reading = link(client, json!({ "method": "GET", "bucket": "files", "key": "shared", "expires_in": 60 })).await;
    assert_eq!(anonymous.read(&reading).await.expect(200).text(), "shared");
    assert_eq!(read_with(&anonymous, &reading, "range", "bytes=0-1").await.expect(206).text(), "sh");
    anonymous.send(anonymous.request(Method::HEAD, &reading)).await.expect(200);
    assert_eq!(put(&anonymous, &reading, "text/plain", "x").await.expect(403).code(), "presigned-invalid");
    let forged = format!("{}A", &reading[..reading.len() - 1]);
    let forged = if forged == reading { format!("{}B", &reading[..reading.len() - 1]) } else { forged };
    assert_eq!(anonymous.read(&forged).await.expect(403).code(), "presigned-invalid");

    let body = json!({ "method": "PUT", "bucket": "files", "key": "new", "max_bytes": 5, "content_type": "image/png" });
    let writing = link(client, body).await;
    assert_eq!(put(&anonymous, &writing, "image/png", "123456").await.expect(413).code(), "object-too-large");
    assert_eq!(put(&anonymous, &writing, "text/html", "1").await.expect(403).code(), "presigned-type");
    assert_eq!(anonymous.read(&writing).await.expect(403).code(), "presigned-invalid");
    let stored = put(&anonymous, &writing, "image/png", "12345").await.expect(201).json();
    assert_eq!((&stored["key"], &stored["owner"]), (&json!("new"), &Value::Null));
    assert_eq!(put(&anonymous, &writing, "image/png", "12345").await.expect(403).code(), "presigned-used");
    assert_eq!(client.read("/storage/files/new").await.expect(200).text(), "12345");

    client.delete("/storage/files/shared").await.expect(204);
    assert_eq!(anonymous.read(&reading).await.expect(403).code(), "presigned-gone");
    put(client, "/storage/files/shared", "text/plain", "another").await.expect(201);
    assert_eq!(anonymous.read(&reading).await.expect(403).code(), "presigned-gone");
    for (body, code) in [
        (json!({ "method": "GET", "bucket": "files", "key": "shared", "expires_in": 3601 }), "invalid-expiry"),
        (json!({ "method": "PUT", "bucket": "files", "key": "shared", "expires_in": 901 }), "invalid-expiry"),
        (json!({ "method": "GET", "bucket": "files", "key": "shared", "max_bytes": 1 }), "invalid-presign"),
        (json!({ "method": "GET", "bucket": "files", "key": "../x" }), "invalid-body"),
    ] {
        assert_eq!(client.post("/storage/_presign", body).await.expect(400).code(), code);
    }
    assert!(!server.log().contains(&reading["/storage/_signed/".len()..]), "a token is in the log");
}

async fn bodies(client: &Client) {
    // More than the limit of a JSON body, streamed without a length.
    let large: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    let pieces: Vec<Result<bytes::Bytes, std::io::Error>> =
        large.chunks(50_000).map(|piece| Ok(bytes::Bytes::copy_from_slice(piece))).collect();
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    put(client, "/storage/files/large", "application/zip", body).await.expect(201);
    let read = client.read("/storage/files/large").await.expect(200);
    assert!(read.body == large, "{} bytes came back", read.body.len());
    // Past the limit, with a length and without: refused, nothing stored.
    let announced = client.request(Method::PUT, "/storage/files/huge").body(vec![0_u8; 51 * 1024 * 1024]);
    if let Ok(answer) = client.try_send(announced).await {
        assert_eq!((answer.status, answer.code().as_str()), (413, "object-too-large"));
    }
    client.read("/storage/files/huge").await.expect(404);
    let encoded = client.request(Method::PUT, "/storage/files/gz").header("content-encoding", "gzip").body("x");
    assert_eq!(client.send(encoded).await.expect(415).code(), "unsupported-media-type");
    let two = put(client, "/storage/files/two", "image/png, text/html", "x").await.expect(400);
    assert_eq!(two.code(), "invalid-content-type");
    // A body that breaks off.
    let pieces = [Ok(bytes::Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))];
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    assert!(client.try_send(client.request(Method::PUT, "/storage/files/half").body(body)).await.is_err());
    client.read("/storage/files/half").await.expect(404);
}

async fn browsers(client: &Client) {
    for (declared, served, shown) in [
        ("image/png", "image/png", "inline"),
        ("text/plain", "text/plain", "inline"),
        ("application/pdf", "application/pdf", "attachment"),
        ("text/html", "application/octet-stream", "attachment"),
        ("TEXT/HTML", "application/octet-stream", "attachment"),
        ("text/html;x=image/png", "application/octet-stream", "attachment"),
        ("image/svg+xml", "application/octet-stream", "attachment"),
        ("application/xhtml+xml", "application/octet-stream", "attachment"),
        ("text/javascript", "application/octet-stream", "attachment"),
        ("multipart/related", "application/octet-stream", "attachment"),
    ] {
        let path = "/storage/files/page.html.";
        put(client, path, declared, "<script>alert(1)</script>").await;
        let link = link(client, json!({ "method": "GET", "bucket": "files", "key": "page.html." })).await;
        let ranged = read_with(client, path, "range", "bytes=0-3").await.expect(206);
        for answer in [client.read(path).await, client.read(&link).await, ranged] {
            assert_eq!(answer.header("content-type"), served, "{declared}");
            assert!(answer.header("content-disposition").starts_with(&format!("{shown};")), "{declared}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'");
            assert_eq!(answer.header("cross-origin-resource-policy"), "same-site");
            assert_eq!(answer.header("cache-control"), "private, no-store");
            assert_eq!(answer.header("referrer-policy"), "no-referrer");
        }
    }
}

async fn others(server: &Server, client: &Client) {
    let (path, other, admin) = ("/storage/files/mine", server.client().someone().await, server.admin().await);
    put(client, path, "text/plain", "mine").await.expect(201);
    for (who, status) in [(&other, 404), (&server.client(), 401)] {
        who.read(path).await.expect(status);
        who.delete(path).await.expect(status);
        put(who, path, "text/plain", "theirs").await.expect(status);
        let body = json!({ "method": "PUT", "bucket": "files", "key": "mine" });
        who.post("/storage/_presign", body).await.expect(status);
    }
    assert_eq!(other.read("/storage/files").await.expect(200).json()["items"], json!([]));
    assert_eq!(admin.read(path).await.expect(200).text(), "mine");
}
