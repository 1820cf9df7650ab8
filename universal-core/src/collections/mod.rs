//! JSON documents.
//!
//! A write decides in Rust, under the lock of the document's row: `decide` takes the row, the
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
pub mod expand;
pub(crate) mod expiry;
pub mod explain;
pub mod explain_rule;
pub mod fields;
pub mod hook;
pub mod idempotency;
pub(crate) mod import_line;
pub(crate) mod index;
pub(crate) mod list_cursor;
pub mod matching;
pub(crate) mod member;
pub(crate) mod name_list;
pub mod operation;
pub mod patch;
pub(crate) mod plan;
#[cfg(test)]
mod plan_tests;
pub mod port;
pub mod query;
pub(crate) mod ranking;
pub(crate) mod reference;
pub mod rule;
pub(crate) mod schema;
pub mod search;
pub mod service;
pub mod settings;
pub mod state;
pub mod transfer;
pub mod typed;
pub mod write;

pub use aggregate::{AggregateQuery, Aggregates, Group, GroupLimit, Metric};
pub use batch::{Batch, BatchOperation, BatchResult};
pub use command::{Command, Outcome};
pub use configured::Configured;
pub use count::Counting;
pub use distinct::{Distinct, DistinctQuery};
pub use document::{Document, Expanded};
pub use expand::Expand;
pub use explain::{Considered, Explanation, IndexUse};
pub use explain_rule::{ExplainRule, RuleExplanation};
pub use fields::Fields;
pub use hook::{CollectionMatch, PendingWrite};
pub use idempotency::{IdempotencyKey, Once};
pub use matching::{Affected, Matching, MatchingWrite};
pub use port::Maintenance;
pub use query::{Direction, GetQuery, ListQuery, Sort};
pub use rule::Action;
pub use search::{SearchLanguage, SearchSettings};
pub use service::Collections;
pub use settings::{
    CollectionInfo, CollectionSettings, IndexInfo, IndexSettings, IndexState, OnDelete, Reference, Rules, ServerValue,
    TimeToLive,
};
pub use state::{CollectionState, Progress};
pub use transfer::{ExportQuery, ImportMeta, ImportMode, ImportOptions, ImportReport, OnError};
pub use typed::{Collection, Typed};
pub use write::{DocumentWrite, NewDocument, Precondition, Written};
