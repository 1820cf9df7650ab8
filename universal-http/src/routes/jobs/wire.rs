//! The bodies.

use serde::Serialize;
use serde_json::Value;
use universal_core::{
    clock::Timestamp,
    jobs::{self, JobFailure, JobId, JobState},
    page,
};

/// The result of a function that was waited for.
#[derive(Serialize)]
pub(super) struct Finished<'a> {
    id: &'a str,
    state: &'static str,
    result: &'a Value,
}

impl<'a> Finished<'a> {
    pub(super) fn new(id: &'a JobId, result: &'a Value) -> Self {
        Self { id: id.as_str(), state: JobState::Succeeded.as_str(), result }
    }
}

/// A job.
#[derive(Serialize)]
pub(super) struct Job<'a> {
    id: &'a str,
    function: &'a str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a JobFailure>,
    attempt: u32,
    max_attempts: u32,
    priority: i16,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unique_key: Option<&'a str>,
    cancel_requested: bool,
    run_at: Timestamp,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<Timestamp>,
}

impl<'a> From<&'a jobs::Job> for Job<'a> {
    fn from(job: &'a jobs::Job) -> Self {
        Self {
            id: job.id.as_str(),
            function: job.function.as_str(),
            state: job.state.as_str(),
            input: Some(&job.input),
            result: job.result.as_ref(),
            error: job.error.as_ref(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            priority: job.priority,
            owner: job.owner.as_ref().map(AsRef::as_ref),
            unique_key: job.unique_key.as_deref(),
            cancel_requested: job.cancel_requested,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}

/// A page of jobs, which come without input and result.
#[derive(Serialize)]
pub(super) struct Page<'a> {
    items: Vec<Job<'a>>,
    next_cursor: Option<&'a str>,
}

impl<'a> From<&'a page::Page<jobs::Job>> for Page<'a> {
    fn from(page: &'a page::Page<jobs::Job>) -> Self {
        let items = page.items.iter().map(|job| Job { input: None, ..Job::from(job) }).collect();
        Self { items, next_cursor: page.next_cursor.as_deref() }
    }
}
