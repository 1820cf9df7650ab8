//! `/db`

use bytes::Bytes;
use http_body_util::Full;

use super::fixture::Fixture;

#[tokio::test]
async fn a_document_lives() {
    let on = Fixture::new().await;
    let made = on.json("POST", "/db/todos", r#"{"id":"a/ü","title":"x","n":1}"#).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("location"), "/db/todos/a%2F%C3%BC");
    assert_eq!(made.json()["id"], "a/ü");
    let revision = made.header("etag").to_owned();
    assert_eq!(revision, format!("\"{}\"", made.json()["_meta"]["revision"].as_str().unwrap()));

    let path = made.header("location").to_owned();
    let got = on.get(&path).await;
    assert_eq!((got.status.as_u16(), got.json()["title"].as_str()), (200, Some("x")));
    assert!(!got.header("feed-cursor").is_empty());
    assert_eq!(got.header("cache-control"), "no-store");
    let head = on.send(on.request("HEAD", &path).body(Full::default()).unwrap()).await;
    assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), got.text.len().to_string());
    let known = on.request("GET", &path).header("if-none-match", format!("W/{revision}, \"x\""));
    let known = on.send(known.body(Full::default()).unwrap()).await;
    assert_eq!((known.status.as_u16(), known.text.as_str(), known.header("etag")), (304, "", revision.as_str()));

    // What was read can be sent back.
    let put = on.json("PUT", &path, &got.text).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let patched = on.json("PATCH", &path, r#"{"n":{"$inc":2},"title":null}"#).await;
    assert_eq!((patched.status.as_u16(), patched.json()["n"].as_i64()), (200, Some(3)), "{}", patched.text);
    let stale = on.request("DELETE", &path).header("if-match", &revision).body(Full::default()).unwrap();
    assert_eq!(on.send(stale).await.problem().0, 412);
    let gone = on.send(on.request("DELETE", &path).body(Full::default()).unwrap()).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    assert_eq!(on.get(&path).await.problem().0, 404);

    let upserted = on.json("PUT", "/db/todos/b", "{}").await;
    assert_eq!((upserted.status.as_u16(), upserted.header("location")), (201, "/db/todos/b"));
    let absent =
        on.request("PUT", "/db/todos/b").header("content-type", "application/json").header("if-none-match", "*");
    assert_eq!(on.send(absent.body(Full::from("{}")).unwrap()).await.status, 412);
}

#[tokio::test]
async fn a_list_has_pages() {
    let on = Fixture::new().await;
    for n in 0..5 {
        on.json("POST", "/db/todos", &format!(r#"{{"n":{n}}}"#)).await;
    }
    let first = on.get("/db/todos?filter=n+%3E+0&sort=-n&limit=3").await;
    let page = first.json();
    let ns: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["n"].as_i64().unwrap()).collect();
    assert_eq!((ns, &page["previous_cursor"]), (vec![4, 3, 2], &serde_json::Value::Null));
    let next = page["next_cursor"].as_str().unwrap();
    let second = on.get(&format!("/db/todos?filter=n+%3E+0&sort=-n&limit=3&cursor={next}")).await.json();
    assert_eq!((second["items"][0]["n"].as_i64(), &second["next_cursor"]), (Some(1), &serde_json::Value::Null));
    assert!(!first.header("feed-cursor").is_empty());
}

#[tokio::test]
async fn bad_input_is_told() {
    let on = Fixture::new().await;
    let problem = |answer: super::fixture::Answer| answer.problem();
    let cases = [
        (on.json("POST", "/db/Bad", "{}").await, 400, "invalid-collection"),
        (on.json("POST", "/db/todos", "{").await, 400, "invalid-json"),
        (on.json("POST", "/db/todos", "").await, 400, "invalid-json"),
        (on.json("POST", "/db/todos", "[]").await, 400, "not-an-object"),
        (on.json("POST", "/db/todos", r#"{"id":5}"#).await, 400, "invalid-id"),
        (on.json("POST", "/db/todos", r#"{"a":1,"a":2}"#).await, 400, "duplicate-key"),
        (on.json("POST", "/db/todos?x=1", "{}").await, 400, "unknown-parameter"),
        (on.json("PUT", "/db/todos/a", r#"{"id":"b"}"#).await, 400, "id-mismatch"),
        (on.json("POST", "/db/todos", &format!("\"{}\"", "x".repeat(2 << 20))).await, 413, "body-too-large"),
        (on.get("/db/todos?limit=0").await, 400, "invalid-limit"),
        (on.get("/db/todos?limit=1&limit=2").await, 400, "repeated-parameter"),
        (on.get("/db/todos?filter=%zz").await, 400, "invalid-query"),
        (on.get("/db/todos/%ff").await, 400, "invalid-path"),
        (on.get("/db/todos/_x").await, 400, "invalid-id"),
        (on.get("/db/todos?cursor=abc").await, 400, "invalid-cursor"),
    ];
    for (answer, status, code) in cases {
        let text = answer.text.clone();
        assert_eq!(problem(answer), (status, code.to_owned()), "{text}");
    }
    let form = on.request("POST", "/db/todos").header("content-type", "text/plain").body(Full::from("{}")).unwrap();
    assert_eq!(on.send(form).await.problem(), (415, "unsupported-media-type".into()));
    let tagged = on.request("PUT", "/db/todos/a").header("content-type", "application/json").header("if-match", "abc");
    assert_eq!(on.send(tagged.body(Full::from("{}")).unwrap()).await.problem(), (400, "invalid-condition".into()));
    let nobody = http::Request::get("/db/todos").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(on.send(nobody).await.status, 401);
    assert_eq!(on.get("/db/todos").await.json()["items"].as_array().unwrap().len(), 0);
}
