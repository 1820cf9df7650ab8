//! Accounts, sessions and tokens.

use std::sync::Arc;

use universal_core::{
    TenantId,
    conformance::auth::{AuthFixture, cases},
};

use super::subject::{On, Subject, run, subject};

async fn fixture(subject: &Subject) -> AuthFixture {
    let other_tenant = TenantId::new("other").unwrap();
    subject.backend.create_tenant(&other_tenant).await.expect("a tenant is created");
    AuthFixture {
        auth: Arc::clone(subject.backend.auth()),
        clock: Arc::clone(&subject.clock),
        tenant: TenantId::default_tenant(),
        other_tenant: other_tenant.clone(),
        disable_other: {
            let backend = subject.backend.clone();
            Arc::new(move |disabled| {
                let (backend, tenant) = (backend.clone(), other_tenant.clone());
                Box::pin(async move {
                    match disabled {
                        true => backend.disable_tenant(&tenant).await,
                        false => backend.enable_tenant(&tenant).await,
                    }
                })
            })
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_keeps_its_promises_on_sqlite() {
    let subject = subject(On::Sqlite).await;
    run(cases(), fixture(&subject).await).await;
    subject.backend.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_keeps_its_promises_on_postgresql() {
    let subject = subject(On::Postgres).await;
    run(cases(), fixture(&subject).await).await;
    subject.backend.shutdown().await;
}
