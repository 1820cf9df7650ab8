//! Answers that come in pages, and answers with their place in the feed.

use crate::{
    cursor::Cursor,
    error::{Error, Result},
};

/// How many items a page holds unless the caller says otherwise.
pub const DEFAULT_LIMIT: u32 = 50;
/// How many items a page holds at most.
pub const MAX_LIMIT: u32 = 500;

/// A number of items, from 1 to [`MAX_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(u32);

impl Limit {
    /// Checks a number of items.
    ///
    /// # Errors
    /// `Invalid` if it is 0 or above [`MAX_LIMIT`].
    pub fn new(limit: u32) -> Result<Self> {
        if (1..=MAX_LIMIT).contains(&limit) {
            return Ok(Self(limit));
        }
        Err(Error::invalid("invalid-limit", format!("a limit is a whole number from 1 to {MAX_LIMIT}"))
            .with_field("limit"))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

/// What was read, and a place in the change feed that was read before it: whoever subscribes from
/// that cursor misses no change after what was read.
#[derive(Clone, Debug)]
pub struct Snapshot<T> {
    /// What was read.
    pub value: T,
    /// A place in the feed not later than what was read.
    pub cursor: Cursor,
}

/// One page of a list.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items, in the order of the query.
    pub items: Vec<T>,
    /// Where the next page begins, if there is one. Opaque and signed.
    pub next_cursor: Option<String>,
    /// Where the page before begins, if there is one. Opaque and signed.
    pub previous_cursor: Option<String>,
    /// How many items all pages hold, if that was asked.
    pub count: Option<Count>,
}

impl<T> Page<T> {
    /// A page.
    #[must_use]
    pub fn new(items: Vec<T>, next_cursor: Option<String>, previous_cursor: Option<String>) -> Self {
        Self { items, next_cursor, previous_cursor, count: None }
    }

    /// The same page with each item made into another.
    ///
    /// # Errors
    /// That of the first item that `make` refuses.
    pub fn try_map<U>(self, make: impl FnMut(T) -> Result<U>) -> Result<Page<U>> {
        let Self { items, next_cursor, previous_cursor, count } = self;
        Ok(Page { items: items.into_iter().map(make).collect::<Result<_>>()?, next_cursor, previous_cursor, count })
    }
}

/// A number of items and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// The number.
    pub value: u64,
    /// How it stands to the true one.
    pub precision: Precision,
}

/// How a number stands to the true one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// It is the true one.
    Exact,
    /// There are so many or more.
    AtLeast,
    /// It is a guess.
    Estimate,
}

impl Count {
    /// A count, for drivers.
    #[must_use]
    pub fn new(value: u64, precision: Precision) -> Self {
        Self { value, precision }
    }
}

impl Precision {
    /// `exact`, `at-least` or `estimate`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::AtLeast => "at-least",
            Self::Estimate => "estimate",
        }
    }
}
