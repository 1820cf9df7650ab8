//! Lists of jobs, newest first.

use crate::{
    error::{Error, Result},
    id::UserId,
    jobs::{
        function_name::FunctionName,
        job::{Job, JobId, JobState},
    },
    page::{Limit, Page},
};

/// Which jobs to list.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListJobs {
    /// Only jobs in this state.
    pub state: Option<JobState>,
    /// Only jobs of this function.
    pub function: Option<FunctionName>,
    /// Only jobs that this user enqueued. For callers who are not administrators it is themselves.
    pub owner: Option<UserId>,
    /// Only jobs older than this one: the `next_cursor` of the page before.
    pub before: Option<JobId>,
    /// How many.
    pub limit: Limit,
}

impl ListJobs {
    /// The newest 50 of all that the caller may see.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only jobs in `state`.
    #[must_use]
    pub fn with_state(mut self, state: JobState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only jobs of `function`.
    #[must_use]
    pub fn with_function(mut self, function: FunctionName) -> Self {
        self.function = Some(function);
        self
    }

    /// Only jobs that `owner` enqueued.
    #[must_use]
    pub fn with_owner(mut self, owner: UserId) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The page after the one that ended with `cursor`.
    ///
    /// # Errors
    /// `Invalid` (`invalid-cursor`) if it is not a `next_cursor`.
    pub fn with_cursor(mut self, cursor: &str) -> Result<Self> {
        let id = JobId::new(cursor).map_err(|_| {
            Error::invalid("invalid-cursor", "a cursor is the next_cursor of a page, unchanged").with_field("cursor")
        })?;
        self.before = Some(id);
        Ok(self)
    }

    /// At most `limit` jobs.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// The page of `items`, which were read with one more than the limit to see whether there is another.
    pub(super) fn cut(&self, mut items: Vec<Job>) -> Page<Job> {
        let limit = self.limit.get() as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|job| job.id.to_string());
        Page::new(items, next, None)
    }
}
