//! What each writer sent and was promised, and whether the server kept it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::Value;
use universal_tests::subscriber::Received;

/// A step in the life of a document; a deletion is the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The document says `"step": n`.
    Is(i64),
    /// The document is gone.
    Gone,
}

/// The life of one document as its one writer knows it.
#[derive(Clone, Debug, Default)]
pub(super) struct Life {
    /// The steps that were acknowledged, with the revision each answer gave.
    pub(super) acknowledged: Vec<(Step, String)>,
    /// The step whose answer never came; the writer leaves the document alone after it.
    pub(super) unknown: Option<Step>,
    /// When the last request was sent.
    pub(super) sent: Option<Instant>,
}

/// Every life. Written before a request is sent and after its answer came.
#[derive(Debug, Default)]
pub(super) struct Book {
    lives: Mutex<BTreeMap<String, Life>>,
    refusals: Mutex<Vec<String>>,
    /// When what was acknowledged was sent, by document and revision.
    begun: Mutex<HashMap<(String, String), Instant>>,
}

impl Book {
    /// Before a request is sent.
    pub(super) fn sends(&self, id: &str, step: Step) {
        let mut lives = self.lives();
        let life = lives.entry(id.to_owned()).or_default();
        (life.unknown, life.sent) = (Some(step), Some(Instant::now()));
    }

    /// After it was acknowledged.
    pub(super) fn has(&self, id: &str, step: Step, revision: &str) {
        let mut lives = self.lives();
        let life = lives.entry(id.to_owned()).or_default();
        life.unknown = None;
        life.acknowledged.push((step, revision.to_owned()));
        if let Some(sent) = life.sent {
            self.begun().insert((id.to_owned(), revision.to_owned()), sent);
        }
    }

    /// How long after its request each of these changes came, of those of documents whose names begin so.
    pub(super) fn delays(&self, prefix: &str, seen: &[Received]) -> Vec<Duration> {
        let begun = self.begun();
        let sent = |change: &Received| begun.get(&(change.id.clone(), change.revision.clone())).copied();
        let of_these = seen.iter().filter(|change| change.id.starts_with(prefix));
        of_these.filter_map(|change| Some(change.at.saturating_duration_since(sent(change)?))).collect()
    }

    /// After the server said that nothing was done.
    pub(super) fn has_not(&self, id: &str) {
        let mut lives = self.lives();
        let life = lives.entry(id.to_owned()).or_default();
        life.unknown = None;
    }

    /// An answer that no writer here may get.
    pub(super) fn refused(&self, what: String) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn acknowledged(&self) -> usize {
        self.lives().values().map(|life| life.acknowledged.len()).sum()
    }

    pub(super) fn unknown(&self) -> usize {
        self.lives().values().filter(|life| life.unknown.is_some()).count()
    }

    pub(super) fn copy(&self) -> BTreeMap<String, Life> {
        self.lives().clone()
    }

    fn begun(&self) -> MutexGuard<'_, HashMap<(String, String), Instant>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lives(&self) -> MutexGuard<'_, BTreeMap<String, Life>> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with what the server holds now, `stored` by id.
pub(super) fn faults_of_store(lives: &BTreeMap<String, Life>, stored: &HashMap<String, Value>) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, life) in lives {
        let now = stored.get(id).map_or(Step::Gone, |document| Step::Is(document["step"].as_i64().unwrap_or(-1)));
        let last = life.acknowledged.last().map_or(Step::Gone, |(step, _)| *step);
        if now != last && Some(now) != life.unknown {
            faults.push(format!("{id} is {now:?}; acknowledged was {last:?}, without answer {:?}", life.unknown));
        }
        if now == last
            && let (Some((_, revision)), Some(document)) = (life.acknowledged.last(), stored.get(id))
            && document["_meta"]["revision"] != revision.as_str()
        {
            faults.push(format!("{id} has revision {}; acknowledged was {revision}", document["_meta"]["revision"]));
        }
    }
    faults.extend(stored.keys().filter(|id| !lives.contains_key(*id)).map(|id| format!("{id} was never written")));
    faults
}

/// What is wrong with the changes that a subscriber saw, repeats dropped.
pub(super) fn faults_of_feed(
    lives: &BTreeMap<String, Life>,
    stored: &HashMap<String, Value>,
    seen: &[Received],
) -> Vec<String> {
    let mut faults = Vec::new();
    for pair in seen.windows(2) {
        if pair[1].seq <= pair[0].seq {
            faults.push(format!("change {} came after {}", pair[1].cursor, pair[0].cursor));
        }
    }
    let mut by_document: HashMap<&str, Vec<&Received>> = HashMap::new();
    for change in seen {
        by_document.entry(&change.id).or_default().push(change);
    }
    for (id, changes) in &by_document {
        let Some(life) = lives.get(*id) else {
            faults.push(format!("a change of {id}, which was never written"));
            continue;
        };
        faults.extend(faults_of_life(id, life, stored.contains_key(*id), changes));
    }
    for (id, life) in lives {
        if !life.acknowledged.is_empty() && !by_document.contains_key(id.as_str()) {
            faults.push(format!("no change of {id} came, and {} were acknowledged", life.acknowledged.len()));
        }
    }
    faults
}

fn faults_of_life(id: &str, life: &Life, lives_on: bool, changes: &[&Received]) -> Vec<String> {
    let steps: Vec<(Step, &str)> = changes
        .iter()
        .map(|change| match change.op.as_str() {
            "create" | "update" => (Step::Is(change.document["step"].as_i64().unwrap_or(-1)), change.revision.as_str()),
            _ => (Step::Gone, change.revision.as_str()),
        })
        .collect();
    let mut expected: Vec<(Step, Option<&str>)> =
        life.acknowledged.iter().map(|(step, revision)| (*step, Some(revision.as_str()))).collect();
    if let Some(unknown) = life.unknown {
        expected.push((unknown, None));
    }
    let mut faults = Vec::new();
    // Every change seen is one that was asked for, in that order.
    let mut rest = expected.iter();
    for (step, revision) in &steps {
        let Some((_, promised)) = rest.by_ref().find(|(asked, _)| asked == step) else {
            faults.push(format!(
                "{id}: {step:?} came out of order or was never asked for; seen {steps:?}, asked {expected:?}"
            ));
            return faults;
        };
        if *step != Step::Gone && promised.is_some_and(|promised| promised != *revision) {
            faults.push(format!("{id}: {step:?} has revision {revision}; acknowledged was {promised:?}"));
        }
    }
    // Every change acknowledged is seen. Of a document that is gone by now, a replay shows the end alone.
    let must: Vec<Step> = if lives_on {
        life.acknowledged.iter().map(|(step, _)| *step).collect()
    } else {
        life.acknowledged.iter().map(|(step, _)| *step).filter(|step| *step == Step::Gone).collect()
    };
    for step in must {
        if !steps.iter().any(|(seen, _)| *seen == step) {
            faults.push(format!("{id}: {step:?} was acknowledged and never came; seen {steps:?}"));
        }
    }
    faults
}
