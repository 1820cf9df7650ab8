//! An account's sessions on the wire.

use http::Method;
use serde_json::json;
use universal_tests::server::Server;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_renewed_and_ended() {
    let server = Server::sqlite().await;
    let client = server.client();
    let body =
        json!({ "email": "Ada@Example.TEST", "password": "correct horse battery", "profile": { "name": "Ada" } });
    let registered = client.post("/auth/register", body.clone()).await.expect(201);
    assert_eq!(registered.headers["cache-control"], "no-store");
    let session = registered.json();
    assert_eq!(session["token_type"], "bearer");
    assert_eq!(session["expires_in"], 900);
    assert_eq!(session["user"]["email"], "ada@example.test");
    assert_eq!(session["user"]["profile"], json!({ "name": "Ada" }));
    assert_eq!(session["user"]["roles"], json!([]));
    assert_eq!(client.post("/auth/register", body).await.expect(409).json()["code"], "email-taken");

    let ada = client.signed_in(&registered);
    assert_eq!(ada.read("/auth/me").await.expect(200).json(), session["user"]);

    // The refresh is asked for with a token that is no longer good beside it, as clients do.
    let old = ada.with_token("expired");
    let token = json!({ "refresh_token": ada.refresh_token() });
    let renewed = client.signed_in(&old.post("/auth/refresh", token.clone()).await.expect(200));
    assert_ne!(renewed.refresh_token(), ada.refresh_token());
    let again = client.signed_in(&client.post("/auth/refresh", token).await.expect(200));
    assert_eq!(again.refresh_token(), renewed.refresh_token(), "within the grace period the successor is the same");

    client.send(renewed.request(Method::POST, "/auth/logout")).await.expect(204);
    for ended in [&ada, &renewed] {
        let answer = ended.read("/auth/me").await.expect(401);
        assert_eq!(answer.json()["code"], "session-ended");
        assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
    }
    let refused = client.post("/auth/refresh", json!({ "refresh_token": renewed.refresh_token() })).await.expect(401);
    assert_eq!(refused.json()["code"], "invalid-refresh-token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_logs_out_whatever_the_access_token_is() {
    let server = Server::sqlite().await;
    let client = server.client();
    let ada = client.someone().await;
    let body = json!({ "refresh_token": ada.refresh_token() });
    ada.with_token("expired").post("/auth/logout", body).await.expect(204);
    ada.read("/auth/me").await.expect(401);
    // Nobody is told apart from somebody whose token is bad.
    client.send(client.request(Method::POST, "/auth/logout")).await.expect(401);
    let bad = client.with_token("expired");
    client.send(bad.request(Method::POST, "/auth/logout")).await.expect(401);
    client.post("/auth/logout", json!({ "token": "x" })).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_keys_are_for_everybody() {
    let server = Server::sqlite().await;
    let answer = server.client().with_token("bad").read("/.well-known/jwks.json").await.expect(200);
    assert_eq!(answer.headers["cache-control"], "public, max-age=300");
    let keys = answer.json();
    assert_eq!(keys["keys"][0]["alg"], "EdDSA");
    assert_eq!(keys["keys"][0].get("d"), None);
}
