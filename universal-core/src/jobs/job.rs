//! A job: what it is, and the one table of what can become of it.

use std::{fmt, sync::Arc};

use serde_json::Value;

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    id::{TenantId, UserId},
    jobs::function_name::FunctionName,
};

/// A job's id: a UUID of version 7, so that ids follow the order of enqueueing. Never reused.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Arc<str>);

impl JobId {
    /// A new id.
    #[must_use]
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string().into())
    }

    /// Reads an id that [`JobId::as_str`] gave.
    ///
    /// # Errors
    /// `Invalid` (`invalid-job-id`).
    pub fn new(text: impl AsRef<str>) -> Result<Self> {
        let text = text.as_ref();
        // Hyphenated and in lower case, so that an id has one spelling.
        let canonical = uuid::Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text);
        if canonical {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid("invalid-job-id", "a job's id is the UUID that enqueueing answered").with_field("id"))
    }

    /// For queues: an id read back from the store.
    #[must_use]
    pub(crate) fn trusted(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobState {
    /// It waits for its time and a worker; also between two attempts.
    Queued,
    /// A worker holds it under a lease.
    Running,
    /// It ended well; the result is readable.
    Succeeded,
    /// Every attempt was used, or the failure was one that no attempt can mend. It can be queued again.
    Dead,
    /// Somebody called it off. It can be queued again.
    Cancelled,
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobEvent {
    /// A worker takes it; the attempt is counted here.
    Claim,
    /// The function returned a result.
    Complete,
    /// The attempt failed and another is left.
    Fail,
    /// The attempt failed and none is left, or none can help.
    GiveUp,
    /// A worker that stops hands it back; the attempt is not counted.
    Release,
    /// The lease ended without an answer and an attempt is left.
    Lapse,
    /// It is called off: at once when queued, by its worker when running.
    Cancel,
    /// A dead or cancelled job is queued again.
    Retry,
}

/// Every transition there is. The statements of a queue write these and no other.
const TRANSITIONS: [(JobState, JobEvent, JobState); 10] = [
    (JobState::Queued, JobEvent::Claim, JobState::Running),
    (JobState::Queued, JobEvent::Cancel, JobState::Cancelled),
    (JobState::Running, JobEvent::Complete, JobState::Succeeded),
    (JobState::Running, JobEvent::Fail, JobState::Queued),
    (JobState::Running, JobEvent::GiveUp, JobState::Dead),
    (JobState::Running, JobEvent::Release, JobState::Queued),
    (JobState::Running, JobEvent::Lapse, JobState::Queued),
    (JobState::Running, JobEvent::Cancel, JobState::Cancelled),
    (JobState::Dead, JobEvent::Retry, JobState::Queued),
    (JobState::Cancelled, JobEvent::Retry, JobState::Queued),
];

impl JobState {
    /// Every state, in the order of a job's life.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Running, Self::Succeeded, Self::Dead, Self::Cancelled];

    /// The state after `event`, or `None` if it cannot happen here.
    #[must_use]
    pub fn after(self, event: JobEvent) -> Option<Self> {
        TRANSITIONS.iter().find(|(from, on, _)| *from == self && *on == event).map(|(_, _, to)| *to)
    }

    /// Whether the job has ended. Only [`JobEvent::Retry`] leads on from here.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Dead | Self::Cancelled)
    }

    /// The state's name in tables, answers and filters: `queued`, `running`, `succeeded`, `dead`, `cancelled`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for JobState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            Error::invalid("invalid-job-state", "a job's state is queued, running, succeeded, dead or cancelled")
                .with_field("state")
        })
    }
}

/// Why the last attempt of a job failed, as far as a caller may know it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct JobFailure {
    /// The stable code of the error that the function returned, or `job-panicked`, `job-timeout`, `job-lapsed`.
    pub code: String,
    /// The sentence for people. The cause below it is in the log only.
    pub message: String,
}

impl JobFailure {
    /// The code of an input that the function refused; the message is the function's own.
    pub const REFUSED: &'static str = "input-refused";

    /// A failure.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// A job as its reader sees it.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Its id.
    pub id: JobId,
    /// The function it runs.
    pub function: FunctionName,
    /// The function's input.
    pub input: Value,
    /// Where it stands.
    pub state: JobState,
    /// Higher is claimed first; 0 is usual.
    pub priority: i16,
    /// Not before this moment.
    pub run_at: Timestamp,
    /// How many times it was claimed.
    pub attempt: u32,
    /// How many claims it may have.
    pub max_attempts: u32,
    /// The user who enqueued it; `None` for the program itself.
    pub owner: Option<UserId>,
    /// While a job with this key waits or runs, enqueueing it again gives the same job.
    pub unique_key: Option<String>,
    /// What the function returned.
    pub result: Option<Value>,
    /// Why the last attempt failed; kept while the next one waits and runs.
    pub error: Option<JobFailure>,
    /// Whether somebody called it off while it ran.
    pub cancel_requested: bool,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// A job that was just enqueued. Queues fill the rest from their store.
    #[must_use]
    pub fn new(tenant: TenantId, id: JobId, function: FunctionName, input: Value, created_at: Timestamp) -> Self {
        Self {
            tenant,
            id,
            function,
            input,
            state: JobState::Queued,
            priority: 0,
            run_at: created_at,
            attempt: 0,
            max_attempts: 1,
            owner: None,
            unique_key: None,
            result: None,
            error: None,
            cancel_requested: false,
            created_at,
            started_at: None,
            finished_at: None,
        }
    }
}

/// Without input and result: they are the users' data and do not belong in a log.
impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("tenant", &self.tenant)
            .field("id", &self.id)
            .field("function", &self.function)
            .field("state", &self.state)
            .field("attempt", &self.attempt)
            .field("max_attempts", &self.max_attempts)
            .field("run_at", &self.run_at)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{JobEvent, JobId, JobState};

    #[test]
    fn a_final_state_is_left_only_by_retry() {
        use JobEvent::{Cancel, Claim, Complete, Fail, GiveUp, Lapse, Release, Retry};
        for state in JobState::ALL.into_iter().filter(|state| state.is_final()) {
            for event in [Claim, Complete, Fail, GiveUp, Release, Lapse, Cancel] {
                assert_eq!(state.after(event), None, "{state} {event:?}");
            }
        }
        assert_eq!(JobState::Dead.after(Retry), Some(JobState::Queued));
        assert_eq!(JobState::Cancelled.after(Retry), Some(JobState::Queued));
        assert_eq!(JobState::Succeeded.after(Retry), None);
        assert_eq!(JobState::Running.after(Fail), Some(JobState::Queued));
        assert_eq!(JobState::Queued.after(Complete), None);
    }

    #[test]
    fn states_and_ids_read_back() {
        for state in JobState::ALL {
            assert_eq!(state.as_str().parse::<JobState>().unwrap(), state);
        }
        assert_eq!("failed".parse::<JobState>().unwrap_err().code(), "invalid-job-state");
        let id = JobId::generate();
        assert_eq!(JobId::new(id.as_str()).unwrap(), id);
        for bad in ["", "x", "0190\0", &id.as_str().to_uppercase(), &id.as_str().replace('-', "")] {
            assert_eq!(JobId::new(bad).unwrap_err().code(), "invalid-job-id", "{bad:?}");
        }
    }
}
