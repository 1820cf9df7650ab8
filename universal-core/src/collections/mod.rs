//! JSON documents.
//!
//! A write decides in Rust, under the lock of the document's row: [`decide`] takes the row, the
//! input and the [`Caller`](crate::caller::Caller), and answers what to store or why not. There is
//! one such path for every database.

pub mod aggregate;
pub mod batch;
pub mod command;
pub(crate) mod configured;
pub mod count;
pub(crate) mod decide;
pub mod distinct;
pub mod document;
pub mod explain;
pub mod hook;
pub mod idempotency;
pub(crate) mod list_cursor;
pub mod matching;
pub(crate) mod member;
pub(crate) mod name_list;
pub mod operation;
pub mod patch;
pub mod port;
pub mod query;
pub(crate) mod ranking;
pub mod rule;
pub(crate) mod schema;
pub mod service;
pub mod settings;
pub mod typed;
pub mod write;

pub use aggregate::{AggregateQuery, Aggregates, Group, GroupLimit, Metric};
pub use batch::{Batch, BatchOperation, BatchResult};
pub use command::{Command, Outcome};
pub use configured::Configured;
pub use count::Counting;
pub use distinct::{Distinct, DistinctQuery};
pub use document::Document;
pub use explain::{ExplainRule, RuleExplanation};
pub use hook::{CollectionMatch, PendingWrite};
pub use idempotency::{IdempotencyKey, Once};
pub use matching::{Affected, Matching, MatchingWrite};
pub use query::{Direction, ListQuery, Sort};
pub use rule::Action;
pub use service::Collections;
pub use settings::{CollectionInfo, CollectionSettings, OnDelete, Reference, Rules, ServerValue};
pub use typed::{Collection, Typed};
pub use write::{DocumentWrite, NewDocument, Precondition, Written};
