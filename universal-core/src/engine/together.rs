//! One question to the feed for all who ask the same at the same moment.
//!
//! After a restart every subscriber of a node comes back at once, most of them to the same place. Each asks where the feed
//! ends, what comes after its place, and what those documents are today; asked one by one, that is a queue in front of the
//! database in which requests wait too. An answer is shared only with those who were there before its question was put, so
//! that nobody gets one that is older than their asking.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use futures_util::future::{BoxFuture, FutureExt as _, Shared};

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::{CollectionName, DocumentId, TenantId},
    realtime::{
        change::Change,
        feed::{Feed, FeedState, Present, Retention},
    },
};

type Key = (CollectionName, DocumentId);
/// After which change, and how many.
type Page = (TenantId, i64, u32);
type Documents = (TenantId, Vec<Key>);
type Answer<V> = Shared<BoxFuture<'static, std::result::Result<V, Arc<Error>>>>;

/// Shared by all who asked, and so never changed.
type Many<V> = Arc<Vec<V>>;

/// How many questions may be open before those that nobody waits for are looked for.
const MANY: usize = 64;

/// A feed whose readers ask together.
#[derive(Debug)]
pub(crate) struct Together {
    feed: Arc<dyn Feed>,
    states: Arc<Questions<TenantId, FeedState>>,
    reads: Arc<Questions<Page, Many<Change>>>,
    presents: Arc<Questions<Documents, Many<Option<Present>>>>,
}

impl Together {
    pub(crate) fn new(feed: Arc<dyn Feed>) -> Self {
        Self { feed, states: Arc::default(), reads: Arc::default(), presents: Arc::default() }
    }
}

#[async_trait]
impl Feed for Together {
    async fn state(&self, tenant: &TenantId) -> Result<FeedState> {
        let (feed, of) = (Arc::clone(&self.feed), tenant.clone());
        self.states.ask(tenant.clone(), async move { feed.state(&of).await }.boxed()).await
    }

    async fn heads(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>> {
        self.feed.heads(tenants).await
    }

    async fn read(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<Change>> {
        let (feed, of) = (Arc::clone(&self.feed), tenant.clone());
        let question = async move { feed.read(&of, after, limit).await.map(Arc::new) };
        let changes = self.reads.ask((tenant.clone(), after, limit), question.boxed()).await?;
        Ok(Arc::unwrap_or_clone(changes))
    }

    async fn present(&self, tenant: &TenantId, documents: &[Key]) -> Result<Vec<Option<Present>>> {
        let (feed, of, keys) = (Arc::clone(&self.feed), tenant.clone(), documents.to_vec());
        let question = async move { feed.present(&of, &keys).await.map(Arc::new) };
        let found = self.presents.ask((tenant.clone(), documents.to_vec()), question.boxed()).await?;
        Ok(Arc::unwrap_or_clone(found))
    }

    async fn retain(&self, now: Timestamp, retention: &Retention) -> Result<()> {
        self.feed.retain(now, retention).await
    }

    async fn trim(&self, tenant: &TenantId, through: i64) -> Result<()> {
        self.feed.trim(tenant, through).await
    }
}

/// The questions of one kind that are open.
struct Questions<K, V>(Mutex<HashMap<K, Lane<V>>>);

/// One question: the one that was put, and the one that is put after it, for all who came meanwhile.
struct Lane<V> {
    put: Answer<V>,
    next: Option<Answer<V>>,
}

impl<V> Lane<V>
where
    V: Clone,
{
    /// Whether somebody waits besides this lane. What nobody waits for is never answered.
    fn is_wanted(&self) -> bool {
        let is_wanted = |answer: &Answer<V>| answer.strong_count().is_some_and(|count| count > 1);
        self.next.as_ref().map_or_else(|| is_wanted(&self.put), is_wanted)
    }
}

impl<K, V> Questions<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// The answer to a question that is put after this call, by this caller or another.
    async fn ask(self: &Arc<Self>, key: K, question: BoxFuture<'static, Result<V>>) -> Result<V> {
        let answer = self.join(key, question);
        answer.await.map_err(|error| Error::shared(&error))
    }

    fn join(self: &Arc<Self>, key: K, question: BoxFuture<'static, Result<V>>) -> Answer<V> {
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.get_mut(&key) {
            if let Some(next) = &lane.next {
                return next.clone();
            }
            let (here, before, of) = (Arc::clone(self), lane.put.clone(), key);
            let next = async move {
                // What it is answered is for those who came earlier.
                let _ = before.await;
                here.begin(&of);
                here.answer(&of, question).await
            };
            return lane.next.insert(next.boxed().shared()).clone();
        }
        if lanes.len() >= MANY {
            lanes.retain(|_, lane| lane.is_wanted());
        }
        let (here, of) = (Arc::clone(self), key.clone());
        let put = async move { here.answer(&of, question).await }.boxed().shared();
        lanes.insert(key, Lane { put: put.clone(), next: None });
        put
    }

    /// The next question is put: whoever comes from here on waits for the one after it.
    fn begin(&self, key: &K) {
        if let Some(lane) = self.lanes().get_mut(key)
            && let Some(next) = lane.next.take()
        {
            lane.put = next;
        }
    }

    async fn answer(&self, key: &K, question: BoxFuture<'static, Result<V>>) -> std::result::Result<V, Arc<Error>> {
        let answer = question.await;
        let mut lanes = self.lanes();
        if lanes.get(key).is_some_and(|lane| lane.next.is_none()) {
            lanes.remove(key);
        }
        answer.map_err(Arc::new)
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<K, Lane<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K, V> Default for Questions<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, V> fmt::Debug for Questions<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Questions").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        error::Error as _,
        sync::atomic::{AtomicBool, AtomicU32, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::error::ErrorKind;

    fn refusal() -> Error {
        let error = Error::new(ErrorKind::Busy, "busy", "not now").with_field("cursor");
        error.with_retry_after(Duration::from_secs(2)).with_source("the cause")
    }

    fn question(asked: &Arc<AtomicU32>) -> BoxFuture<'static, Result<u32>> {
        let asked = Arc::clone(asked);
        async move {
            let number = asked.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_millis(10)).await;
            if number == 3 { Err(refusal()) } else { Ok(number) }
        }
        .boxed()
    }

    #[tokio::test]
    async fn who_comes_while_a_question_is_open_gets_the_answer_to_the_next() {
        let (questions, asked) = (Arc::new(Questions::<&str, u32>::default()), Arc::new(AtomicU32::new(0)));
        let ask = || {
            let (questions, question) = (Arc::clone(&questions), question(&asked));
            tokio::spawn(async move { questions.ask("a", question).await })
        };
        let first = ask();
        tokio::task::yield_now().await;
        let crowd: Vec<_> = (0..100).map(|_| ask()).collect();
        assert_eq!(first.await.unwrap().unwrap(), 1);
        for one in crowd {
            assert_eq!(one.await.unwrap().unwrap(), 2);
        }
        // An error is everybody's, and the next question is a new one.
        let refused = ask().await.unwrap().unwrap_err();
        assert_eq!((refused.kind(), refused.code(), refused.field()), (ErrorKind::Busy, "busy", Some("cursor")));
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(2)));
        assert!(refused.source().is_some(), "the log has the cause");
        assert_eq!(ask().await.unwrap().unwrap(), 4);
        assert!(questions.lanes().is_empty());
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_stops_nobody_and_is_forgotten() {
        let (questions, answered) = (Arc::new(Questions::<u32, u32>::default()), Arc::new(AtomicBool::new(false)));
        let ask = |key| {
            let (questions, answered) = (Arc::clone(&questions), Arc::clone(&answered));
            let question = async move {
                while !answered.load(Ordering::SeqCst) {
                    tokio::task::yield_now().await;
                }
                Ok(key)
            };
            async move { questions.ask(key, question.boxed()).await }
        };
        for key in 0..1_000 {
            assert!(tokio::time::timeout(Duration::from_millis(1), ask(key)).await.is_err());
        }
        assert!(questions.lanes().len() <= MANY);
        answered.store(true, Ordering::SeqCst);
        assert_eq!(ask(999).await.unwrap(), 999);
    }
}
