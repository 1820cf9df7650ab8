//! Links that carry a right.

use std::time::Duration;

use futures_util::{FutureExt as _, future::join_all};

use crate::{
    caller::Caller,
    conformance::{
        case::Case,
        storage::fixture::{Fixture, broken, bucket, check, chunks, drain, fine, key, one, pattern, refused, same},
    },
    error::Result as Answer,
    storage::{ByteRange, ContentType, GetOptions, Grant, PresignMethod, PresignRequest, PutOptions, PutOutcome},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    Case { name: "a-link-reads-its-object", run: |f| reads(f).boxed() },
    Case { name: "a-link-ends-with-its-object", run: |f| ends_with_object(f).boxed() },
    Case { name: "a-link-ends-in-time", run: |f| ends_in_time(f).boxed() },
    Case { name: "a-link-uploads-once", run: |f| uploads_once(f).boxed() },
    Case { name: "a-link-uploads-within-its-limits", run: |f| limits(f).boxed() },
    Case { name: "a-link-does-one-thing", run: |f| one_thing(f).boxed() },
    Case { name: "a-link-cannot-take-what-became-another's", run: |f| another(f).boxed() },
];

impl Fixture {
    async fn link(&self, caller: &Caller, request: PresignRequest) -> Result<String, String> {
        Ok(fine("presign", self.storage.presign(caller, request).await)?.token)
    }

    fn grant(&self, token: &str) -> Result<Grant, String> {
        fine("open", self.storage.open_presigned(token))
    }

    async fn upload(&self, grant: &Grant, options: PutOptions, content: &[u8]) -> Answer<PutOutcome> {
        self.storage.put_presigned(grant, options, chunks(content, 65_536)).await
    }
}

fn to_get() -> PresignRequest {
    PresignRequest::new(bucket(), key("k"), PresignMethod::Get)
}

fn to_put() -> PresignRequest {
    PresignRequest::new(bucket(), key("k"), PresignMethod::Put)
}

async fn reads(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"0123456789").await)?;
    let grant = f.grant(&f.link(&f.ann(), to_get()).await?)?;
    for _ in 0..2 {
        let got = fine("get", f.storage.get_presigned(&grant, GetOptions::default()).await)?;
        same("bytes", fine("read", drain(got).await)?, b"0123456789".to_vec())?;
    }
    let options = GetOptions::default().with_range(ByteRange::Last(3));
    let got = fine("a range", f.storage.get_presigned(&grant, options).await)?;
    same("bytes", fine("read", drain(got).await)?, b"789".to_vec())?;
    fine("replace", f.put(&f.ann(), "k", b"new").await)?;
    let got = fine("after a replacement", f.storage.get_presigned(&grant, GetOptions::default()).await)?;
    same("bytes", fine("read", drain(got).await)?, b"new".to_vec())?;
    same("head", fine("head", f.storage.head_presigned(&grant).await)?.size, 3)
}

async fn ends_with_object(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"one").await)?;
    let grant = f.grant(&f.link(&f.ann(), to_get()).await?)?;
    fine("delete", f.storage.delete(&f.ann(), &bucket(), &key("k"), None).await)?;
    refused("deleted", f.storage.get_presigned(&grant, GetOptions::default()).await, "presigned-gone")?;
    fine("put again", f.put(&f.ann(), "k", b"two").await)?;
    refused("another life", f.storage.get_presigned(&grant, GetOptions::default()).await, "presigned-gone")?;
    refused("head", f.storage.head_presigned(&grant).await, "presigned-gone")?;
    refused("nothing to read", f.storage.presign(&f.ann(), to_get_of("nothing")).await, "object-not-found")
}

fn to_get_of(text: &str) -> PresignRequest {
    PresignRequest::new(bucket(), key(text), PresignMethod::Get)
}

async fn ends_in_time(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"one").await)?;
    let token = f.link(&f.ann(), to_get().with_expires_in(Duration::from_secs(60))).await?;
    f.clock.advance(Duration::from_secs(59));
    f.grant(&token)?;
    f.clock.advance(Duration::from_secs(1));
    refused("after its end", f.storage.open_presigned(&token), "presigned-expired")?;
    for (request, seconds) in [(to_get(), 0), (to_get(), 3601), (to_put(), 901)] {
        let request = request.with_expires_in(Duration::from_secs(seconds));
        refused("too long or too short", f.storage.presign(&f.ann(), request).await, "invalid-expiry")?;
    }
    refused("get with a limit", f.storage.presign(&f.ann(), to_get().with_max_bytes(1)).await, "invalid-presign")?;
    for forged in ["", ".", "x.y", token.get(1..).unwrap_or_default(), &format!("{token}A")] {
        refused("forged", f.storage.open_presigned(forged), "presigned-invalid")?;
    }
    Ok(())
}

async fn uploads_once(f: Fixture) -> Result<(), String> {
    let token = f.link(&f.ann(), to_put()).await?;
    let grant = f.grant(&token)?;
    let failed = f.storage.put_presigned(&grant, PutOptions::default(), broken(&pattern(2_000_000))).await;
    refused("a failed upload", failed, "test-broken")?;
    let puts = (0..10_u8).map(|n| {
        let (f, grant) = (&f, &grant);
        async move { f.upload(grant, PutOptions::default(), &[n; 1000]).await }
    });
    let mut done = 0;
    for outcome in join_all(puts).await {
        match outcome {
            Ok(put) => {
                done += 1;
                same("owner", put.object.owner.as_ref().map(|owner| owner.as_str()), Some("ann"))?;
            }
            Err(error) => same("refused", error.code(), "presigned-used")?,
        }
    }
    same("uploads that count", done, 1)?;
    let grant = f.grant(&token)?;
    refused("used", f.upload(&grant, PutOptions::default(), b"x").await, "presigned-used")?;
    fine("delete", f.storage.delete(&f.ann(), &bucket(), &key("k"), None).await)?;
    fine("sweep", f.sweep_all().await)?;
    refused("still used or at its end", f.storage.open_presigned(&token), "presigned-expired")?;
    same("nothing is left", f.blobs().await?, 0)
}

async fn limits(f: Fixture) -> Result<(), String> {
    let png = fine("type", ContentType::new("image/png"))?;
    let html = fine("type", ContentType::new("text/html"))?;
    let grant = f.grant(&f.link(&f.ann(), to_put().with_max_bytes(10).with_content_type(png.clone())).await?)?;
    let with = |content_type: &ContentType| PutOptions::default().with_content_type(content_type.clone());
    refused("too large", f.upload(&grant, with(&png), &[0; 11]).await, "object-too-large")?;
    refused("another limit", f.upload(&grant, with(&png).with_max_bytes(1000), &[0; 11]).await, "object-too-large")?;
    refused("another type", f.upload(&grant, with(&html), b"x").await, "presigned-type")?;
    let put = fine("within", f.upload(&grant, PutOptions::default(), &[0; 10]).await)?;
    same("type", put.object.content_type, png)
}

async fn one_thing(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"one").await)?;
    let reading = f.grant(&f.link(&f.ann(), to_get()).await?)?;
    let writing = f.grant(&f.link(&f.ann(), to_put()).await?)?;
    refused("upload with a link to read", f.upload(&reading, PutOptions::default(), b"x").await, "presigned-invalid")?;
    let got = f.storage.get_presigned(&writing, GetOptions::default()).await;
    refused("reading with a link to upload", got, "presigned-invalid")?;
    refused("head with a link to upload", f.storage.head_presigned(&writing).await, "presigned-invalid")?;
    same("untouched", fine("read", f.read(&f.ann(), "k").await)?, b"one".to_vec())
}

async fn another(f: Fixture) -> Result<(), String> {
    let grant = f.grant(&f.link(&f.ann(), to_put()).await?)?;
    fine("bob was faster", f.put(&f.bob(), "k", b"bob").await)?;
    refused("ann's link", f.upload(&grant, PutOptions::default(), b"ann").await, "object-not-found")?;
    same("bob's", fine("read", f.read(&f.bob(), "k").await)?, b"bob".to_vec())?;
    let system = Caller::system(f.ann().tenant().clone());
    let grant = f.grant(&f.link(&system, to_put()).await?)?;
    let put = fine("the program's link", f.storage.put_presigned(&grant, PutOptions::default(), one(b"new")).await)?;
    check("it replaces", !put.created)?;
    same("still bob's", fine("read", f.read(&f.bob(), "k").await)?, b"new".to_vec())
}
