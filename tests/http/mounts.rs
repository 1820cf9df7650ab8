//! The same backend under a path of an axum program and of a plain hyper server.

use std::future::IntoFuture as _;

use serde_json::json;
use tokio::net::TcpListener;
use universal_core::Backend;
use universal_examples::{axum_mount, hyper_mount};
use universal_tests::{client::Client, socketio::SocketIo, sse::Sse, subscriber::Subscriber};

/// What must work below any path: sign-in, documents, links, the realtime transports, a file, errors.
async fn tour(client: &Client) {
    let ada = client.someone().await;
    assert_eq!(ada.read("/auth/me").await.expect(200).json()["id"], ada.user_id());
    let socket = Subscriber::follow(&ada, "orders", None).await;
    let mut events = Sse::open(&ada, "/realtime/sse?collection=orders", None).await;
    assert_eq!(events.next_of_interest().await.expect("a first event").event, "subscribed");

    let mut polling = SocketIo::signed_in(&ada, &["polling"]).await;
    let mut upgraded = SocketIo::signed_in(&ada, &["polling", "websocket"]).await;
    assert_eq!(upgraded.next_of("upgrade").await["transport"], "websocket");
    for client in [&mut polling, &mut upgraded] {
        let wanted = json!({ "ref": "1", "collection": "orders" });
        assert_eq!(client.ask("subscribe", wanted).await["type"], "subscribed");
    }

    let answer = ada.post("/db/orders", json!({ "tea": "green" })).await.expect(201);
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    // The link is below the mount point: it can be followed as it is.
    let location = answer.header("location").to_owned();
    let host = client.base().strip_suffix("/backend").expect("mounted at /backend");
    let followed = if location.starts_with('/') { format!("{host}{location}") } else { location.clone() };
    assert!(
        followed == format!("{}/db/orders/{id}", client.base()) || location == format!("/db/orders/{id}"),
        "Location: {location}"
    );
    socket.until("the change on the socket", std::time::Duration::from_secs(20), |changes| !changes.is_empty()).await;
    assert_eq!(events.next_of_interest().await.expect("a change").json()["id"], id.as_str());
    for client in [&mut polling, &mut upgraded] {
        assert_eq!(client.event("change").await["id"], id.as_str());
    }

    let file =
        ada.request(http::Method::PUT, "/storage/files/a/b.txt").header("content-type", "text/plain").body("hello");
    assert!(matches!(ada.send(file).await.status, 200 | 201));
    assert_eq!(ada.read("/storage/files/a/b.txt").await.expect(200).text(), "hello");

    let refused = client.read("/nowhere").await.expect(404);
    assert_eq!(
        (refused.code().as_str(), refused.header("content-type")),
        ("unknown-route", "application/problem+json")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_path_of_an_axum_program() {
    let backend = Backend::in_memory().await.expect("a backend");
    let (app, api) = axum_mount::app(&backend).expect("the example");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let host = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    let client = Client::new(&format!("{host}/backend"));
    tour(&client).await;

    // The program's own page is still its own, and its guarded page knows our users.
    let own = Client::new(&host);
    assert_eq!(own.read("/").await.expect(200).text(), "The tea shop: visit 1\n");
    let refused = own.read("/orders/count").await.expect(401);
    assert_eq!(refused.header("content-type"), "application/problem+json");
    own.with_token("abc.def.ghi").read("/orders/count").await.expect(401);
    let ada = client.someone().await;
    ada.create("orders", json!({ "tea": "black" })).await;
    assert_eq!(own.with_token(ada.token()).read("/orders/count").await.expect(200).json(), json!({ "orders": 1 }));

    // Operations are where the program put them, and only there.
    own.read("/internal/readyz").await.expect(200);
    client.read("/readyz").await.expect(404);

    api.close();
    api.closed().await;
    server.abort();
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_path_of_a_plain_hyper_server() {
    let backend = Backend::in_memory().await.expect("a backend");
    let api = hyper_mount::mounted(&backend).expect("the example");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let host = format!("http://{}", listener.local_addr().expect("an address"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn({
        let api = api.clone();
        async move {
            hyper_mount::serve(listener, &api, async {
                stopped.await.ok();
            })
            .await
        }
    });
    tour(&Client::new(&format!("{host}{}", hyper_mount::MOUNT))).await;
    assert_eq!(Client::new(&host).read("/").await.expect(200).text(), "a page of the host's own\n");
    Client::new(&host).read("/elsewhere").await.expect(404);

    stop.send(()).expect("the server runs");
    server.await.expect("the server ends").expect("without an error");
    backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_backends_live_in_one_process() {
    let (first, second) = (Backend::in_memory().await.expect("one"), Backend::in_memory().await.expect("another"));
    let mut clients = Vec::new();
    for backend in [&first, &second] {
        let (app, _) = axum_mount::app(backend).expect("the example");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let host = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(axum::serve(listener, app).into_future());
        clients.push(Client::new(&format!("{host}/backend")));
    }
    let ada = clients[0].register("ada@example.test", "correct horse battery staple").await;
    // The other knows neither the address nor the token.
    clients[1].register("ada@example.test", "correct horse battery staple").await;
    clients[1].with_token(ada.token()).read("/auth/me").await.expect(401);
    first.shutdown().await;
    second.shutdown().await;
}
