//! JSON documents.
//!
//! A write decides in Rust, under the lock of the document's row: [`decide`] takes the row, the
//! input and the [`Caller`](crate::caller::Caller), and answers what to store or why not. There is
//! one such path for every database.

pub(crate) mod configured;
pub(crate) mod decide;
pub mod document;
pub(crate) mod expiry;
pub(crate) mod list_cursor;
pub(crate) mod member;
pub mod operation;
pub mod patch;
pub mod port;
pub mod query;
pub(crate) mod reference;
pub mod rule;
pub(crate) mod schema;
pub mod service;
pub mod settings;
pub mod state;
pub mod typed;
pub mod write;

pub use configured::Configured;
pub use document::Document;
pub use port::Maintenance;
pub use query::{Direction, ListQuery, Sort};
pub use rule::Action;
pub use service::Collections;
pub use settings::{CollectionInfo, CollectionSettings, OnDelete, Reference, Rules, ServerValue, TimeToLive};
pub use state::{CollectionState, Progress};
pub use typed::Collection;
pub use write::{DocumentWrite, NewDocument, Precondition, Written};
