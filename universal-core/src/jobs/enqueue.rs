//! An order to run a function.

use std::{fmt, time::Duration};

use serde_json::Value;

use crate::{
    clock::Timestamp,
    error::{Error, ErrorKind, Result},
};

/// The largest input, in bytes of its JSON text. Larger things belong in a file, with its key as input.
pub const MAX_INPUT_BYTES: usize = 64 * 1024;
/// The largest result, in bytes of its JSON text.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;
/// How many attempts a job has unless its function or its order says otherwise.
pub const DEFAULT_ATTEMPTS: u32 = 5;
/// The most attempts an order may ask for.
pub(super) const MOST_ATTEMPTS: u32 = 100;
/// The furthest away an order may be put: a year.
const LONGEST_DELAY: Duration = Duration::from_secs(366 * 86_400);

/// When a job may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// As soon as a worker is free.
    Now,
    /// This long after the commit of the order, by the database's clock.
    After(Duration),
    /// Not before a moment.
    At(Timestamp),
}

/// An order to run a function: its name, its input and when.
#[derive(Clone)]
#[must_use = "an order does nothing until it is given to `Jobs::enqueue`"]
pub struct Enqueue {
    pub(super) function: String,
    pub(super) input: Value,
    pub(super) due: Due,
    pub(super) priority: i16,
    pub(super) max_attempts: Option<u32>,
    pub(super) unique_key: Option<String>,
}

impl Enqueue {
    /// An order to run `function` with `input`, now.
    pub fn new(function: impl Into<String>, input: Value) -> Self {
        Self { function: function.into(), input, due: Due::Now, priority: 0, max_attempts: None, unique_key: None }
    }

    /// The same with an input of the function's own type.
    ///
    /// # Errors
    /// `Invalid` if the input has no JSON form.
    pub fn typed<T: serde::Serialize>(function: impl Into<String>, input: &T) -> Result<Self> {
        let input = serde_json::to_value(input).map_err(|error| {
            Error::invalid("invalid-input", "the input has no JSON form").with_field("input").with_source(error)
        })?;
        Ok(Self::new(function, input))
    }

    /// Not sooner than `delay` after the order.
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.due = Due::After(delay);
        self
    }

    /// Not before `moment`.
    pub fn with_run_at(mut self, moment: Timestamp) -> Self {
        self.due = Due::At(moment);
        self
    }

    /// Higher is claimed first; 0 is usual.
    pub fn with_priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// How many times it may be claimed, 1 to 100.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// While a job of this function with this key waits or runs, the order gives that job and makes no other.
    /// 1 to 200 bytes.
    pub fn with_unique_key(mut self, key: impl Into<String>) -> Self {
        self.unique_key = Some(key.into());
        self
    }

    /// The input as JSON text, if the order is within its limits.
    pub(super) fn check(&self) -> Result<String> {
        if let Some(key) = &self.unique_key
            && (!(1..=200).contains(&key.len()) || key.chars().any(char::is_control))
        {
            return Err(Error::invalid(
                "invalid-unique-key",
                "a unique key is 1 to 200 bytes without control characters",
            )
            .with_field("unique_key"));
        }
        if self.max_attempts.is_some_and(|attempts| !(1..=MOST_ATTEMPTS).contains(&attempts)) {
            return Err(
                Error::invalid("invalid-max-attempts", "a job has 1 to 100 attempts").with_field("max_attempts")
            );
        }
        if matches!(self.due, Due::After(delay) if delay > LONGEST_DELAY) {
            return Err(Error::invalid("invalid-delay", "a job can wait for a year at most").with_field("delay"));
        }
        let text = serde_json::to_string(&self.input).map_err(Error::internal)?;
        if text.len() > MAX_INPUT_BYTES {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "input-too-large",
                "a job's input is at most 64 KiB of JSON; put larger data in a file and pass its key",
            )
            .with_field("input"));
        }
        // What a document may hold, so that whoever reads the job back can.
        crate::json::parse(text.as_bytes(), &crate::json::Limits::default())
            .map_err(|error| error.with_field("input"))?;
        Ok(text)
    }
}

/// Without the input: it is the caller's data.
impl fmt::Debug for Enqueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enqueue").field("function", &self.function).field("due", &self.due).finish_non_exhaustive()
    }
}
