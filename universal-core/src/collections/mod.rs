//! JSON documents.
//!
//! A write decides in Rust, under the lock of the document's row: [`decide`] takes the row, the
//! input and the [`Caller`](crate::caller::Caller), and answers what to store or why not. There is
//! one such path for every database.

pub mod decide;
pub mod document;
#[expect(dead_code, reason = "wip")]
pub(crate) mod index;
pub(crate) mod list_cursor;
pub mod operation;
pub mod patch;
#[expect(dead_code, reason = "wip")]
pub(crate) mod plan;
pub mod query;
pub mod rule;
pub mod service;
pub mod typed;
pub mod write;

pub use document::Document;
pub use query::{Direction, ListQuery, Sort};
pub use service::Collections;
pub use typed::Collection;
pub use write::{DocumentWrite, NewDocument, Precondition, Written};
