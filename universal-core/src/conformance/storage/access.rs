//! Who sees what.

use futures_util::FutureExt as _;

use crate::{
    caller::Caller,
    conformance::{
        case::Case,
        storage::fixture::{Fixture, bucket, fine, key, name, one, refused, same, user},
    },
    id::TenantId,
    storage::{ListObjects, PresignMethod, PresignRequest, PutOptions},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    Case { name: "the-anonymous-are-refused", run: |f| anonymous(f).boxed() },
    Case { name: "what-is-not-yours-does-not-exist", run: |f| others(f).boxed() },
    Case { name: "administrators-see-everything", run: |f| administrators(f).boxed() },
    Case { name: "tenants-do-not-meet", run: |f| tenants(f).boxed() },
    Case { name: "buckets-do-not-meet", run: |f| buckets(f).boxed() },
];

/// Every method on the key `k`, each with what it answered.
async fn every_method(f: &Fixture, caller: &Caller) -> Vec<(&'static str, crate::error::Result<()>)> {
    let (bucket, key) = (bucket(), key("k"));
    let link = |method| PresignRequest::new(bucket.clone(), key.clone(), method);
    vec![
        ("get", f.read(caller, "k").await.map(|_| ())),
        ("head", f.storage.head(caller, &bucket, &key).await.map(|_| ())),
        ("put", f.put(caller, "k", b"x").await.map(|_| ())),
        ("delete", f.storage.delete(caller, &bucket, &key, None).await),
        ("presign get", f.storage.presign(caller, link(PresignMethod::Get)).await.map(|_| ())),
        ("presign put", f.storage.presign(caller, link(PresignMethod::Put)).await.map(|_| ())),
    ]
}

async fn anonymous(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"mine").await)?;
    let nobody = Caller::anonymous(TenantId::default_tenant());
    for (method, outcome) in every_method(&f, &nobody).await {
        refused(method, outcome, "sign-in-required")?;
    }
    refused("a new key", f.put(&nobody, "new", b"x").await, "sign-in-required")?;
    refused("list", f.storage.list(&nobody, &bucket(), ListObjects::default()).await, "sign-in-required")
}

async fn others(f: Fixture) -> Result<(), String> {
    let mine = fine("put", f.put(&f.ann(), "k", b"mine").await)?.object;
    for (method, outcome) in every_method(&f, &f.bob()).await {
        refused(method, outcome, "object-not-found")?;
    }
    let listed = fine("list", f.storage.list(&f.bob(), &bucket(), ListObjects::default()).await)?;
    same("an empty list", listed.items.len(), 0)?;
    same("untouched", fine("head", f.storage.head(&f.ann(), &bucket(), &key("k")).await)?, mine)
}

async fn administrators(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"mine").await)?;
    for admin in [user("root").with_roles(["admin"]), Caller::system(TenantId::default_tenant())] {
        same("bytes", fine("read", f.read(&admin, "k").await)?, b"mine".to_vec())?;
        let listed = fine("list", f.storage.list(&admin, &bucket(), ListObjects::default()).await)?;
        same("listed", listed.items.len(), 1)?;
    }
    let system = Caller::system(TenantId::default_tenant());
    fine("the program's own", f.put(&system, "p", b"program").await)?;
    refused("nobody owns it", f.read(&f.ann(), "p").await, "object-not-found")
}

async fn tenants(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"mine").await)?;
    let Ok(elsewhere) = TenantId::new("elsewhere") else { return Err("a tenant".into()) };
    let twin = Caller::user(elsewhere.clone(), crate::id::UserId::trusted("ann"));
    for caller in [twin.clone(), Caller::system(elsewhere)] {
        refused("get", f.read(&caller, "k").await, "object-not-found")?;
        let listed = fine("list", f.storage.list(&caller, &bucket(), ListObjects::default()).await)?;
        same("listed", listed.items.len(), 0)?;
    }
    same("a key of its own", fine("put", f.put(&twin, "k", b"other").await)?.created, true)?;
    same("bytes", fine("read", f.read(&f.ann(), "k").await)?, b"mine".to_vec())?;
    same("bytes", fine("read", f.read(&twin, "k").await)?, b"other".to_vec())
}

async fn buckets(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"files").await)?;
    let (other, k) = (name("other"), key("k"));
    refused("head", f.storage.head(&f.ann(), &other, &k).await, "object-not-found")?;
    fine("put", f.storage.put(&f.ann(), &other, &k, PutOptions::default(), one(b"other")).await)?;
    same("bytes", fine("read", f.read(&f.ann(), "k").await)?, b"files".to_vec())
}
