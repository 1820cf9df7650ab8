//! Bad input is refused with the right status, a code and a place; nothing is stored; both databases answer alike.

use universal_tests::server::Server;

use super::{
    case::{Case, Scene, faults, outcome},
    cases_auth, cases_documents, cases_reads, cases_realtime, cases_requests, cases_storage, cases_transfer,
    cases_writes,
};

async fn refused_alike(cases: &[Case]) {
    let (sqlite, postgres) = tokio::join!(Server::sqlite(), Server::postgres());
    let mut wrong = Vec::new();
    let mut outcomes = Vec::new();
    for (database, server) in [("SQLite", &sqlite), ("PostgreSQL", &postgres)] {
        let scene = Scene::new(server.client()).await;
        let before = scene.stored().await;
        let mut seen = Vec::new();
        for case in cases {
            match scene.user.try_send((case.request)(&scene)).await {
                Ok(answer) => {
                    wrong.extend(
                        faults((case.status, case.code), case.place, &answer)
                            .iter()
                            .map(|fault| format!("{database}, {}: {fault}", case.name)),
                    );
                    seen.push(outcome(&answer));
                }
                Err(error) => {
                    wrong.push(format!("{database}, {}: no answer: {error:?}", case.name));
                    seen.push(serde_json::Value::Null);
                }
            }
        }
        assert_eq!(scene.stored().await, before, "{database}: bad input has changed something");
        assert!(!server.log().contains("panicked"), "{database}: a panic:\n{}", server.log());
        outcomes.push(seen);
    }
    for (case, (sqlite, postgres)) in cases.iter().zip(outcomes[0].iter().zip(&outcomes[1])) {
        if sqlite != postgres {
            wrong.push(format!("{}: SQLite answers {sqlite}\n    and PostgreSQL {postgres}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn documents() {
    refused_alike(cases_documents::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes() {
    refused_alike(cases_writes::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests() {
    refused_alike(cases_requests::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transfer() {
    refused_alike(cases_transfer::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads() {
    let (sqlite, postgres) = tokio::join!(Server::sqlite(), Server::postgres());
    let (sqlite, postgres) = (sqlite.client().someone().await, postgres.client().someone().await);
    let mut wrong = Vec::new();
    for read in cases_reads::CASES {
        let mut outcomes = Vec::new();
        for client in [&sqlite, &postgres] {
            let answer = client.read(read.path).await;
            wrong.extend(
                faults((400, read.code), read.place, &answer).iter().map(|fault| format!("{}: {fault}", read.name)),
            );
            outcomes.push(outcome(&answer));
        }
        if outcomes[0] != outcomes[1] {
            wrong.push(format!("{}: SQLite answers {}\n    and PostgreSQL {}", read.name, outcomes[0], outcomes[1]));
        }
    }
    assert!(wrong.is_empty(), "of {} cases:\n{}", cases_reads::CASES.len(), wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn auth() {
    refused_alike(cases_auth::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_and_functions() {
    refused_alike(cases_storage::CASES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn realtime() {
    refused_alike(cases_realtime::CASES).await;
}
