//! The recent end of a tenant's feed in memory, shared by all its subscribers on this node.

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

use crate::{
    engine::{
        entry::Entry,
        pages::Pages,
        ruling::Rulings,
        waiters::{Group, Waiters},
    },
    id::{CollectionName, TenantId},
    realtime::change::Change,
};

/// How many changes are kept for readers that are a little behind.
const MAX_CHANGES: usize = 2048;
/// How many bytes of documents are kept for them.
const MAX_BYTES: usize = 10 * 1024 * 1024;

/// One tenant's recent changes: everything after `base` up to the head, without a gap.
#[derive(Debug)]
pub(crate) struct Log {
    tenant: TenantId,
    recent: RwLock<Recent>,
    /// The last change that is here.
    head: AtomicI64,
    /// What readers read lately of what is not here.
    pages: Pages,
    /// Readers who have everything.
    waiters: Waiters,
    rulings: Rulings,
}

#[derive(Debug)]
struct Recent {
    base: i64,
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
}

/// What a reader at some place finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// The next changes, at least one.
    Entries(Vec<Arc<Entry>>),
    /// Nothing new yet.
    Nothing,
    /// The place is behind what memory holds: read the feed itself.
    Behind,
}

impl Log {
    pub(crate) fn new(tenant: TenantId, head: i64) -> Self {
        let recent = Recent { base: head, entries: VecDeque::new(), bytes: 0 };
        let (pages, waiters, rulings) = (Pages::default(), Waiters::default(), Rulings::new(tenant.clone()));
        Self { tenant, recent: RwLock::new(recent), head: AtomicI64::new(head), pages, waiters, rulings }
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The last change that is here.
    pub(crate) fn head(&self) -> i64 {
        self.head.load(Ordering::Acquire)
    }

    /// A place where to wait for more changes, or other rules, among those who read the same.
    pub(crate) fn wait(&self, collection: Option<&CollectionName>) -> (Arc<AtomicWaker>, Arc<Group>) {
        self.waiters.join(collection)
    }

    /// Wakes some of the readers, if there are changes for which they were not woken. Answers when there are more to wake.
    pub(crate) fn wake_some(&self, now: Instant) -> Option<Instant> {
        self.waiters.wake_some(now)
    }

    /// What readers read lately of what is not here.
    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    /// The rules of the tenant's collections.
    pub(crate) fn rulings(&self) -> &Rulings {
        &self.rulings
    }

    /// Wakes the readers, because rules have changed.
    pub(crate) fn rules_changed(&self) {
        self.waiters.wake_all();
    }

    /// The changes after `position`, at most `limit`.
    pub(crate) fn after(&self, position: i64, limit: usize) -> Found {
        // Most look when they have everything.
        if position >= self.head() {
            return Found::Nothing;
        }
        let recent = self.recent.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        if position < recent.base {
            return Found::Behind;
        }
        let skip = usize::try_from(position - recent.base).unwrap_or(usize::MAX);
        let entries: Vec<_> = recent.entries.iter().skip(skip).take(limit).cloned().collect();
        if entries.is_empty() { Found::Nothing } else { Found::Entries(entries) }
    }

    /// Adds changes that follow the head without a gap; answers whether all of them did. Nobody is [woken](Self::wake_some)
    /// yet.
    pub(crate) fn append(&self, changes: Vec<Change>) -> bool {
        let (mut whole, mut head, mut changed) = (true, self.head(), HashSet::new());
        {
            let mut recent = self.recent.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            for change in changes {
                if change.seq != head + 1 {
                    whole = false;
                    break;
                }
                if !changed.contains(&change.collection) {
                    changed.insert(change.collection.clone());
                }
                head = change.seq;
                let entry = Arc::new(Entry::new(change));
                recent.bytes += entry.bytes();
                recent.entries.push_back(entry);
            }
            while recent.entries.len() > MAX_CHANGES || recent.bytes > MAX_BYTES {
                let Some(oldest) = recent.entries.pop_front() else { break };
                recent.bytes -= oldest.bytes();
                recent.base = oldest.change.seq;
            }
        }
        if self.head.swap(head, Ordering::AcqRel) != head {
            self.waiters.owe(&changed, Instant::now());
        }
        whole
    }

    /// Begins again after a part of the feed was trimmed before it was read.
    pub(crate) fn restart(&self, head: i64) {
        {
            let mut recent = self.recent.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            *recent = Recent { base: head, entries: VecDeque::new(), bytes: 0 };
        }
        self.head.store(head, Ordering::Release);
        self.waiters.wake_all();
    }
}
