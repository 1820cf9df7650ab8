//! Lists: order, folders, pages.

use futures_util::FutureExt as _;

use crate::{
    conformance::{
        case::Case,
        storage::fixture::{Fixture, bucket, check, fine, refused, same},
    },
    page::Limit,
    storage::{ListObjects, ObjectPage},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    Case { name: "keys-are-listed-in-the-order-of-their-bytes", run: |f| order(f).boxed() },
    Case { name: "folders-appear-once", run: |f| folders(f).boxed() },
    Case { name: "pages-are-stable-while-others-write", run: |f| stable(f).boxed() },
    Case { name: "lists-refuse-what-they-cannot-do", run: |f| bad(f).boxed() },
];

const KEYS: [&str; 14] = ["B", "a", "a b", "a-1", "a/1", "a/2", "a/b/3", "a0", "aB", "ab", "b/1", "ä", "ü/x", "😀/y"];

fn at_most(items: u32) -> Limit {
    Limit::new(items).unwrap_or_default()
}

async fn list(f: &Fixture, asked: ListObjects) -> Result<ObjectPage, String> {
    fine("list", f.storage.list(&f.ann(), &bucket(), asked).await)
}

/// All pages: the keys and the prefixes.
async fn all(f: &Fixture, asked: ListObjects) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut keys, mut prefixes, mut asked) = (Vec::new(), Vec::new(), asked);
    for _ in 0..1000 {
        let page = list(f, asked.clone()).await?;
        keys.extend(page.items.iter().map(|object| object.key.to_string()));
        prefixes.extend(page.prefixes);
        match page.next_cursor {
            Some(cursor) => asked = asked.with_cursor(cursor),
            None => return Ok((keys, prefixes)),
        }
    }
    Err("a list without an end".into())
}

async fn fill(f: &Fixture) -> Result<(), String> {
    for key in KEYS.iter().rev() {
        fine("put", f.put(&f.ann(), key, key.as_bytes()).await)?;
    }
    fine("somebody else's", f.put(&f.bob(), "a/secret", b"x").await).map(|_| ())
}

async fn order(f: Fixture) -> Result<(), String> {
    fill(&f).await?;
    let mut sorted = KEYS.map(str::to_owned).to_vec();
    sorted.sort_unstable();
    for limit in [1, 2, 3, 14, 500] {
        let (keys, _) = all(&f, ListObjects::default().with_limit(at_most(limit))).await?;
        same(&format!("keys with limit {limit}"), &keys, &sorted)?;
        let (keys, _) = all(&f, ListObjects::default().with_limit(at_most(limit)).with_prefix("a/")).await?;
        same("keys with a prefix", keys, ["a/1", "a/2", "a/b/3"].map(str::to_owned).to_vec())?;
    }
    let (keys, _) = all(&f, ListObjects::default().with_prefix("%")).await?;
    same("a prefix is no pattern", keys.len(), 0)
}

async fn folders(f: Fixture) -> Result<(), String> {
    fill(&f).await?;
    for number in 0..150 {
        fine("put", f.put(&f.ann(), &format!("many/{number:03}"), b"x").await)?;
    }
    for limit in [1, 2, 5, 500] {
        let (keys, prefixes) = all(&f, ListObjects::default().with_limit(at_most(limit)).with_delimiter("/")).await?;
        same("keys", keys, ["B", "a", "a b", "a-1", "a0", "aB", "ab", "ä"].map(str::to_owned).to_vec())?;
        same("prefixes", prefixes, ["a/", "b/", "many/", "ü/", "😀/"].map(str::to_owned).to_vec())?;
        let (keys, prefixes) =
            all(&f, ListObjects::default().with_limit(at_most(limit)).with_delimiter("/").with_prefix("a/")).await?;
        same("keys in a/", keys, ["a/1", "a/2"].map(str::to_owned).to_vec())?;
        same("prefixes in a/", prefixes, ["a/b/"].map(str::to_owned).to_vec())?;
    }
    Ok(())
}

async fn stable(f: Fixture) -> Result<(), String> {
    for number in 0..20 {
        fine("put", f.put(&f.ann(), &format!("k{number:02}"), b"x").await)?;
    }
    let first = list(&f, ListObjects::default().with_limit(at_most(10))).await?;
    let cursor = first.next_cursor.clone().ok_or("no cursor")?;
    let last = first.items.last().ok_or("no items")?.key.clone();
    fine("put before", f.put(&f.ann(), "k00a", b"x").await)?;
    fine("put after", f.put(&f.ann(), "k15a", b"x").await)?;
    fine("delete the place", f.storage.delete(&f.ann(), &bucket(), &last, None).await)?;
    let (keys, _) = all(&f, ListObjects::default().with_limit(at_most(3)).with_cursor(cursor)).await?;
    same("the first of the rest", keys.first().map(String::as_str), Some("k10"))?;
    same("the rest", keys.len(), 11)?;
    check("with what came after", keys.contains(&"k15a".to_owned()))
}

async fn bad(f: Fixture) -> Result<(), String> {
    fill(&f).await?;
    let ask = |asked: ListObjects| async { f.storage.list(&f.ann(), &bucket(), asked).await };
    refused("prefix", ask(ListObjects::default().with_prefix("a\0")).await, "invalid-prefix")?;
    refused("delimiter", ask(ListObjects::default().with_delimiter("/".repeat(17))).await, "invalid-delimiter")?;
    for cursor in ["", "x", "a.b", "a0s.AAAAAAAAAAAAAAAAAAAAAA", "é"] {
        refused("forged", ask(ListObjects::default().with_cursor(cursor)).await, "invalid-cursor")?;
    }
    let cursor = list(&f, ListObjects::default().with_limit(at_most(1))).await?.next_cursor.ok_or("no cursor")?;
    refused("of another list", ask(ListObjects::default().with_prefix("a").with_cursor(cursor)).await, "invalid-cursor")
}
