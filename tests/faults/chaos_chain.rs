//! The whole feed of a tenant, and what is wrong with it.

use std::collections::{BTreeMap, HashMap};

use universal_core::{
    Backend, Caller, TenantId,
    collections::ListQuery,
    error::Result,
    id::CollectionName,
    page::Limit,
    realtime::{Change, Operation, change::Image},
};

/// A small generator of numbers: the same seed, the same choices.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// Whether something that happens in `percent` of a hundred throws happens.
    pub(super) fn happens(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A write that was acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledged {
    pub(super) id: String,
    pub(super) operation: Operation,
    pub(super) revision: String,
    pub(super) tag: Option<u64>,
}

/// Every change of the tenant `default` from the first on.
pub(super) async fn whole_feed(backend: &Backend) -> Result<Vec<Change>> {
    let (tenant, mut changes) = (TenantId::default_tenant(), Vec::<Change>::new());
    loop {
        let after = changes.last().map_or(0, |last| last.seq);
        let page = backend.feed().read(&tenant, after, 1000).await?;
        if page.is_empty() {
            return Ok(changes);
        }
        changes.extend(page);
    }
}

/// The number that a document of these tests carries.
pub(super) fn tag(body: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(body).ok()?["tag"].as_u64()
}

/// What an image says; the order of members and the spaces between them say nothing.
fn value(image: &Image) -> (serde_json::Value, Option<&str>) {
    (serde_json::from_str(&image.body).expect("JSON"), image.owner.as_ref().map(|owner| owner.as_str()))
}

/// The life that a revision belongs to.
pub(super) fn incarnation(revision: &str) -> &str {
    revision.rsplit_once('-').map_or(revision, |(life, _)| life)
}

/// That the numbers are dense, and that each document's changes follow each other: what is before a
/// change is what was after the one before it.
pub(super) fn faults_of_chain(changes: &[Change]) -> Vec<String> {
    let mut faults = Vec::new();
    for (expected, change) in (1..).zip(changes) {
        if change.seq != expected {
            faults.push(format!("change {} stands where {expected} belongs", change.seq));
            break;
        }
    }
    let mut now: HashMap<_, (String, Image)> = HashMap::new();
    let mut ended: HashMap<String, i64> = HashMap::new();
    for change in changes {
        let key = (change.collection.clone(), change.id.clone());
        let before = now.remove(&key);
        if before.as_ref().map(|(_, image)| value(image)) != change.before.as_ref().map(value) {
            faults.push(format!(
                "{}: {} {} does not follow {before:?}: {change:?}",
                change.seq, change.operation, change.id
            ));
        }
        let number = |revision: &str| revision.rsplit_once('-').and_then(|(_, n)| n.parse::<u64>().ok()).unwrap_or(0);
        let (known, new) = (before.as_ref().map(|(revision, _)| revision.as_str()), &*change.revision);
        let fits = match change.operation {
            Operation::Create => known.is_none() && number(new) == 1 && !ended.contains_key(incarnation(new)),
            Operation::Update => {
                known.is_some_and(|known| incarnation(known) == incarnation(new) && number(known) + 1 == number(new))
            }
            Operation::Delete => known == Some(new),
        };
        if !fits {
            faults
                .push(format!("{}: {} {} has revision {new} after {known:?}", change.seq, change.operation, change.id));
        }
        match &change.after {
            Some(image) => drop(now.insert(key, (new.to_owned(), image.clone()))),
            None => drop(ended.insert(incarnation(new).to_owned(), change.seq)),
        }
    }
    faults
}

/// That every acknowledged write is there once.
pub(super) fn faults_of_acknowledged(changes: &[Change], acknowledged: &[Acknowledged]) -> Vec<String> {
    let mut there: BTreeMap<(&str, &str, &str), Vec<&Change>> = BTreeMap::new();
    for change in changes {
        there.entry((change.id.as_str(), &change.revision, change.operation.as_str())).or_default().push(change);
    }
    let mut faults = Vec::new();
    for write in acknowledged {
        let key = (write.id.as_str(), write.revision.as_str(), write.operation.as_str());
        let found = there.get(&key).map_or(&[][..], Vec::as_slice);
        if found.len() != 1 {
            faults.push(format!("{write:?} was acknowledged and is in the feed {} times", found.len()));
        }
        let recorded = found.first().and_then(|change| tag(&change.after.as_ref().or(change.before.as_ref())?.body));
        if write.tag.is_some() && write.operation != Operation::Delete && recorded != write.tag {
            faults.push(format!("{write:?} was acknowledged; its change says {recorded:?}"));
        }
    }
    faults
}

/// That the documents stand as the last change of each left them.
pub(super) async fn faults_of_documents(backend: &Backend, name: &CollectionName, changes: &[Change]) -> Vec<String> {
    let mut expected = BTreeMap::new();
    for change in changes.iter().filter(|change| change.collection == *name) {
        match &change.after {
            Some(_) => drop(expected.insert(change.id.as_str().to_owned(), change.revision.to_string())),
            None => drop(expected.remove(change.id.as_str())),
        }
    }
    let system = Caller::system(TenantId::default_tenant());
    let list = backend
        .collections()
        .list(&system, name, &ListQuery::new().with_limit(Limit::new(500).unwrap()))
        .await
        .expect("a list");
    let stored: BTreeMap<_, _> =
        list.value.items.iter().map(|one| (one.id.as_str().to_owned(), one.revision.as_str().to_owned())).collect();
    if stored == expected { Vec::new() } else { vec![format!("stored is {stored:?}; the feed leaves {expected:?}")] }
}
