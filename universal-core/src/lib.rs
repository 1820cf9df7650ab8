//! A backend to add to a Rust program: users and sign-in, JSON documents with a change feed, files,
//! background jobs and realtime, behind five service traits.

#![deny(missing_docs)]
#![forbid(unsafe_code)]

pub mod auth;
pub mod backend;
pub mod builder;
pub mod caller;
pub mod clock;
pub mod collections;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod cursor;
pub mod drivers;
pub mod engine;
pub mod error;
pub mod expr;
pub mod id;
pub mod jobs;
pub mod json;
pub mod page;
pub mod realtime;
pub mod secret;
pub mod settings;
pub mod storage;
pub mod transaction;

pub use backend::Backend;
pub use caller::Caller;
pub use clock::{Clock, SystemClock, Timestamp};
pub use cursor::Cursor;
pub use drivers::sql::transaction::Signalled;
pub use error::{Error, ErrorKind, Result};
pub use id::{CollectionName, DocumentId, TenantId, UserId};
pub use page::{Page, Snapshot};
pub use settings::Settings;
pub use transaction::Transaction;
