//! What was put is what comes back.

use futures_util::{FutureExt as _, StreamExt as _};

use crate::{
    conformance::{
        case::Case,
        storage::fixture::{Fixture, bucket, check, chunks, drain, fine, key, one, pattern, refused, same, sha256},
    },
    storage::{ByteRange, ContentType, GetOptions, Match, PutOptions},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    Case { name: "an-object-comes-back-as-it-was-put", run: |f| comes_back(f).boxed() },
    Case { name: "objects-of-every-size", run: |f| sizes(f).boxed() },
    Case { name: "replacing-keeps-owner-and-birth", run: |f| replacing(f).boxed() },
    Case { name: "ranges", run: |f| ranges(f).boxed() },
    Case { name: "a-range-counts-only-for-its-revision", run: |f| if_range(f).boxed() },
    Case { name: "delete-and-put-again", run: |f| delete(f).boxed() },
    Case { name: "preconditions", run: |f| preconditions(f).boxed() },
    Case { name: "odd-keys-are-kept-byte-for-byte", run: |f| odd_keys(f).boxed() },
    Case { name: "an-open-download-outlives-its-version", run: |f| open_download(f).boxed() },
];

async fn comes_back(f: Fixture) -> Result<(), String> {
    let options = PutOptions::default().with_content_type(fine("type", ContentType::new("text/plain; charset=utf-8"))?);
    let put = fine("put", f.put_with(&f.ann(), "a/b.txt", options, one(b"hello")).await)?;
    check("the key was new", put.created)?;
    let object = fine("head", f.storage.head(&f.ann(), &bucket(), &key("a/b.txt")).await)?;
    same("head is what put said", &object, &put.object)?;
    same("size", object.size, 5)?;
    same("sha256", object.sha256.as_str(), &sha256(b"hello"))?;
    same("type", object.content_type.as_str(), "text/plain; charset=utf-8")?;
    same("owner", object.owner.as_ref().map(|owner| owner.as_str()), Some("ann"))?;
    check("a revision", !object.revision.is_empty())?;
    let content = fine("get", f.open(&f.ann(), "a/b.txt", GetOptions::default()).await)?;
    same("get's object", &content.object, &object)?;
    same("no range", content.range.clone(), None)?;
    same("bytes", fine("read", drain(content).await)?, b"hello".to_vec())?;
    refused("another key", f.read(&f.ann(), "a/c.txt").await, "object-not-found")
}

async fn sizes(f: Fixture) -> Result<(), String> {
    const MIB: usize = 1024 * 1024;
    for (length, piece) in
        [(0, 1), (1, 1), (10_000, 1), (MIB - 1, 4096), (MIB, 65_536), (MIB + 1, 65_536), (6 * MIB + 7, 9_999_999)]
    {
        let content = pattern(length);
        let put = fine("put", f.put_with(&f.ann(), "sized", PutOptions::default(), chunks(&content, piece)).await)?;
        same("size", put.object.size, content.len() as u64)?;
        same("sha256", put.object.sha256, sha256(&content))?;
        check(&format!("{length} bytes come back"), fine("read", f.read(&f.ann(), "sized").await)? == content)?;
    }
    Ok(())
}

async fn replacing(f: Fixture) -> Result<(), String> {
    let first = fine("first", f.put(&f.ann(), "k", b"one").await)?.object;
    f.clock.advance(std::time::Duration::from_secs(1));
    let second = fine("second", f.put(&f.ann().with_roles(["admin"]), "k", b"one").await)?;
    check("not new", !second.created)?;
    let second = second.object;
    check("another revision for the same bytes", second.revision != first.revision)?;
    same("created_at", second.created_at, first.created_at)?;
    check("updated_at", second.updated_at > first.updated_at)?;
    let admin = crate::caller::Caller::system(f.ann().tenant().clone());
    let third = fine("the program replaces it", f.put(&admin, "k", b"two").await)?.object;
    same("owner", third.owner, first.owner)?;
    same("bytes", fine("read", f.read(&f.ann(), "k").await)?, b"two".to_vec())
}

async fn ranges(f: Fixture) -> Result<(), String> {
    let content = pattern(3 * 1024 * 1024 + 5);
    fine("put", f.put(&f.ann(), "k", &content).await)?;
    let size = content.len() as u64;
    for (range, wanted) in [
        (ByteRange::Between(0, 0), 0..1),
        (ByteRange::Between(1_048_575, 1_048_576), 1_048_575..1_048_577),
        (ByteRange::Between(5, u64::MAX), 5..size),
        (ByteRange::From(size - 1), size - 1..size),
        (ByteRange::Last(10), size - 10..size),
        (ByteRange::Last(u64::MAX), 0..size),
    ] {
        let got = fine("get", f.open(&f.ann(), "k", GetOptions::default().with_range(range)).await)?;
        same("range", got.range.clone(), Some(wanted.clone()))?;
        same("length", got.length(), wanted.end - wanted.start)?;
        let part = content.get(wanted.start as usize..wanted.end as usize).unwrap_or_default();
        check(&format!("bytes of {wanted:?}"), fine("read", drain(got).await)? == part)?;
    }
    for range in
        [ByteRange::From(size), ByteRange::Last(0), ByteRange::Between(size, size + 1), ByteRange::From(u64::MAX)]
    {
        let got = f.open(&f.ann(), "k", GetOptions::default().with_range(range)).await;
        refused(&format!("{range:?}"), got, "range-not-satisfiable")?;
    }
    fine("put", f.put(&f.ann(), "empty", b"").await)?;
    let got = f.open(&f.ann(), "empty", GetOptions::default().with_range(ByteRange::From(0))).await;
    refused("a range of nothing", got, "range-not-satisfiable")
}

async fn if_range(f: Fixture) -> Result<(), String> {
    let revision = fine("put", f.put(&f.ann(), "k", b"0123456789").await)?.object.revision;
    let options = GetOptions::default().with_range(ByteRange::From(4)).with_if_range(revision);
    let got = fine("get", f.open(&f.ann(), "k", options.clone()).await)?;
    same("the rest", fine("read", drain(got).await)?, b"456789".to_vec())?;
    fine("replace", f.put(&f.ann(), "k", b"abcdefghij").await)?;
    let got = fine("get", f.open(&f.ann(), "k", options).await)?;
    same("no range", got.range.clone(), None)?;
    same("all", fine("read", drain(got).await)?, b"abcdefghij".to_vec())
}

async fn delete(f: Fixture) -> Result<(), String> {
    let first = fine("put", f.put(&f.ann(), "k", b"one").await)?.object;
    fine("delete", f.storage.delete(&f.ann(), &bucket(), &key("k"), None).await)?;
    refused("get", f.read(&f.ann(), "k").await, "object-not-found")?;
    refused("delete again", f.storage.delete(&f.ann(), &bucket(), &key("k"), None).await, "object-not-found")?;
    let second = fine("put again", f.put(&f.bob(), "k", b"two").await)?;
    check("new", second.created)?;
    check("another revision", second.object.revision != first.revision)?;
    same("a new owner", second.object.owner.as_ref().map(|owner| owner.as_str()), Some("bob"))?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)?;
    same("bytes", fine("read", f.read(&f.bob(), "k").await)?, b"two".to_vec())
}

async fn preconditions(f: Fixture) -> Result<(), String> {
    let ann = f.ann();
    let new = PutOptions::default().with_if_none_match(Match::Any);
    let put = |options: PutOptions, content: &'static [u8]| f.put_with(&ann, "k", options, one(content));
    refused("nothing to match", put(PutOptions::default().with_if_match(Match::Any), b"x").await, "stale-revision")?;
    let first = fine("new", put(new.clone(), b"one").await)?.object.revision;
    refused("not new", put(new, b"x").await, "object-exists")?;
    let of = |revision: &str| Match::Revisions(vec!["other".to_owned(), revision.to_owned()]);
    let second = fine("match", put(PutOptions::default().with_if_match(of(&first)), b"two").await)?.object.revision;
    refused("stale put", put(PutOptions::default().with_if_match(of(&first)), b"x").await, "stale-revision")?;
    let (files, k) = (bucket(), key("k"));
    let delete = |condition: Match| f.storage.delete(&ann, &files, &k, Some(condition));
    refused("stale delete", delete(of(&first)).await, "stale-revision")?;
    same("bytes", fine("read", f.read(&ann, "k").await)?, b"two".to_vec())?;
    fine("delete", delete(of(&second)).await)
}

async fn odd_keys(f: Fixture) -> Result<(), String> {
    let keys = [
        "…/ünï",
        "u\u{308}",
        "ü",
        "CON",
        "a b ",
        "trailing.",
        "%2e%2e%2f",
        "-rf",
        "'; DROP TABLE x; --",
        "\u{202e}txt",
        "x#1",
    ];
    for text in keys {
        check(text, fine("put", f.put(&f.ann(), text, text.as_bytes()).await)?.created)?;
    }
    for text in keys {
        same(text, fine("read", f.read(&f.ann(), text).await)?, text.as_bytes().to_vec())?;
    }
    Ok(())
}

async fn open_download(f: Fixture) -> Result<(), String> {
    let content = pattern(2 * 1024 * 1024);
    fine("put", f.put(&f.ann(), "k", &content).await)?;
    let mut open = fine("get", f.open(&f.ann(), "k", GetOptions::default()).await)?;
    let mut got = match open.stream.next().await {
        Some(chunk) => fine("first chunk", chunk)?.to_vec(),
        None => return Err("no first chunk".into()),
    };
    fine("replace", f.put(&f.ann(), "k", b"new").await)?;
    fine("sweep", f.sweep_all().await)?;
    same("one version is left", f.blobs().await?, 1)?;
    got.extend(fine("the rest", drain(open).await)?);
    check("the old version to its end", got == content)?;
    same("the new version", fine("read", f.read(&f.ann(), "k").await)?, b"new".to_vec())
}
