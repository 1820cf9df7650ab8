//! An upload has its whole effect or none, and leaves nothing behind.

use std::time::Duration;

use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream};

use crate::{
    conformance::{
        case::Case,
        storage::fixture::{
            Fixture, broken, bucket, check, chunks, fine, key, one, pattern, refused, same, sha256, stalled,
        },
    },
    storage::{Match, PutOptions},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    Case { name: "a-failed-upload-changes-nothing", run: |f| failed(f).boxed() },
    Case { name: "a-dropped-upload-changes-nothing", run: |f| dropped(f).boxed() },
    Case { name: "the-limit-of-a-size", run: |f| limits(f).boxed() },
    Case { name: "what-was-replaced-is-swept", run: |f| swept(f).boxed() },
    Case { name: "what-is-young-is-not-swept", run: |f| young(f).boxed() },
    Case { name: "a-swept-upload-cannot-publish", run: |f| expired(f).boxed() },
    Case { name: "uploads-to-one-key-side-by-side", run: |f| side_by_side(f).boxed() },
    Case { name: "one-of-many-creates", run: |f| one_creates(f).boxed() },
    Case { name: "puts-and-deletes-side-by-side", run: |f| churn(f).boxed() },
];

const LARGE: usize = 3 * 1024 * 1024;

async fn failed(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"old").await)?;
    for length in [0, 10, LARGE] {
        let content = pattern(length);
        refused("broken", f.put_with(&f.ann(), "k", PutOptions::default(), broken(&content)).await, "test-broken")?;
        refused(
            "broken, new key",
            f.put_with(&f.ann(), "n", PutOptions::default(), broken(&content)).await,
            "test-broken",
        )?;
    }
    same("the old bytes", fine("read", f.read(&f.ann(), "k").await)?, b"old".to_vec())?;
    refused("the new key", f.read(&f.ann(), "n").await, "object-not-found")?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)
}

async fn dropped(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"old").await)?;
    for length in [0, 10, LARGE] {
        let content = pattern(length);
        let (ann, options) = (f.ann(), PutOptions::default());
        let upload = f.put_with(&ann, "k", options, stalled(&content));
        let ended = tokio::time::timeout(Duration::from_millis(200), upload).await.is_ok();
        check("it waits for the rest", !ended)?;
    }
    same("the old bytes", fine("read", f.read(&f.ann(), "k").await)?, b"old".to_vec())?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)
}

async fn limits(f: Fixture) -> Result<(), String> {
    let content = pattern(LARGE);
    let at_most = |bytes: usize| PutOptions::default().with_max_bytes(bytes as u64);
    let put = |options: PutOptions| f.put_with_pattern(options, &content);
    refused("one too many", put(at_most(LARGE - 1)).await, "object-too-large")?;
    refused("far too many", put(at_most(10)).await, "object-too-large")?;
    refused("announced too many", put(at_most(10).with_size(11)).await, "object-too-large")?;
    refused("fewer than announced", put(PutOptions::default().with_size(LARGE as u64 + 1)).await, "size-mismatch")?;
    refused("more than announced", put(PutOptions::default().with_size(LARGE as u64 - 1)).await, "size-mismatch")?;
    refused("nothing is there", f.read(&f.ann(), "k").await, "object-not-found")?;
    let endless = stream::repeat_with(|| Ok(bytes::Bytes::from_static(&[7; 65_536]))).boxed();
    refused("endless", f.put_with(&f.ann(), "k", at_most(LARGE), endless).await, "object-too-large")?;
    fine("exactly", put(at_most(LARGE).with_size(LARGE as u64)).await)?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)
}

impl Fixture {
    async fn put_with_pattern(
        &self,
        options: PutOptions,
        content: &[u8],
    ) -> crate::error::Result<crate::storage::PutOutcome> {
        self.put_with(&self.ann(), "k", options, chunks(content, 65_536)).await
    }
}

async fn swept(f: Fixture) -> Result<(), String> {
    for number in 0..5_u8 {
        fine("put", f.put(&f.ann(), "k", &[number]).await)?;
        fine("put", f.put(&f.ann(), "gone", &[number]).await)?;
    }
    fine("delete", f.storage.delete(&f.ann(), &bucket(), &key("gone"), None).await)?;
    same("all versions are there", f.blobs().await?, 10)?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)?;
    same("bytes", fine("read", f.read(&f.ann(), "k").await)?, vec![4])?;
    let again = fine("sweep again", f.sweep.sweep(Duration::ZERO).await)?;
    same("nothing to do", (again.deleted, again.failed, again.has_more), (0, 0, false))
}

async fn young(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"one").await)?;
    fine("put", f.put(&f.ann(), "k", b"two").await)?;
    f.clock.advance(Duration::from_secs(3599));
    same("too young", fine("sweep", f.sweep.sweep(Duration::from_secs(3600)).await)?.deleted, 0)?;
    f.clock.advance(Duration::from_secs(2));
    same("old enough", fine("sweep", f.sweep.sweep(Duration::from_secs(3600)).await)?.deleted, 1)
}

async fn expired(f: Fixture) -> Result<(), String> {
    fine("put", f.put(&f.ann(), "k", b"old").await)?;
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let last = stream::once(async move {
        let _ = wait.await;
        Ok(bytes::Bytes::from_static(b"last"))
    });
    let content = chunks(&pattern(LARGE), 65_536).chain(last).boxed();
    let (ann, sweeping) = (f.ann(), f.clone());
    let upload = f.put_with(&ann, "k", PutOptions::default(), content);
    let sweep = async move {
        // Until the upload has begun there is nothing to sweep.
        for _ in 0..500 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            sweeping.clock.advance(Duration::from_secs(1));
            if sweeping.sweep.sweep(Duration::ZERO).await.is_ok_and(|swept| swept.deleted > 0) {
                break;
            }
        }
        let _ = go.send(());
    };
    let (uploaded, ()) = tokio::join!(upload, sweep);
    // A store may notice by itself that its draft is gone; what counts is that nothing was published.
    match uploaded {
        Err(error) if ["upload-expired", "store-unavailable"].contains(&error.code()) => {}
        other => return Err(format!("the late upload: {other:?}")),
    }
    same("the old bytes", fine("read", f.read(&f.ann(), "k").await)?, b"old".to_vec())?;
    same("one version is left", f.blobs().await?, 1)
}

async fn side_by_side(f: Fixture) -> Result<(), String> {
    let contents: Vec<Vec<u8>> = (1..=16_u8).map(|n| vec![n; 40_000 * usize::from(n)]).collect();
    let ann = f.ann();
    let puts = contents.iter().map(|content| f.put_with(&ann, "k", PutOptions::default(), chunks(content, 65_536)));
    let mut created = 0;
    for outcome in join_all(puts).await {
        created += usize::from(fine("put", outcome)?.created);
    }
    same("one created it", created, 1)?;
    let object = fine("head", f.storage.head(&ann, &bucket(), &key("k")).await)?;
    let read = fine("read", f.read(&ann, "k").await)?;
    same("row and bytes agree", object.sha256, sha256(&read))?;
    check("one of the uploads", contents.contains(&read))?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)
}

async fn one_creates(f: Fixture) -> Result<(), String> {
    let callers = [f.ann(), f.bob()];
    let new = PutOptions::default().with_if_none_match(Match::Any);
    let puts = (0..16_usize).filter_map(|n| callers.get(n % 2).map(|caller| (n, caller)));
    let puts = puts.map(|(n, caller)| f.put_with(caller, "k", new.clone(), one(n.to_string().as_bytes())));
    let outcomes = join_all(puts).await;
    let mut won = 0;
    for outcome in outcomes {
        match outcome {
            Ok(_) => won += 1,
            Err(error) if ["object-exists", "object-not-found"].contains(&error.code()) => {}
            Err(error) => return Err(format!("{error:?}")),
        }
    }
    same("winners", won, 1)
}

async fn churn(f: Fixture) -> Result<(), String> {
    let ann = f.ann();
    let work = (0..8_usize).map(|n| {
        let (f, ann) = (&f, &ann);
        async move {
            for round in 0..10_usize {
                if (n + round) % 3 == 0 {
                    match f.storage.delete(ann, &bucket(), &key("k"), None).await {
                        Err(error) if error.code() != "object-not-found" => return Err(format!("delete: {error:?}")),
                        _ => {}
                    }
                } else {
                    fine("put", f.put(ann, "k", format!("{n}-{round}").as_bytes()).await)?;
                }
            }
            Ok(())
        }
    });
    for outcome in join_all(work).await {
        outcome?;
    }
    fine("put", f.put(&ann, "k", b"last").await)?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)?;
    same("bytes", fine("read", f.read(&ann, "k").await)?, b"last".to_vec())
}
