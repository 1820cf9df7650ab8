//! A backend to add to a Rust program: users and sign-in, JSON documents with a change feed, files,
//! background jobs, realtime and channels, behind six service traits.
//!
//! [`Backend`] holds one of each service: [`auth`](auth::Auth), [`collections`](collections::Collections),
//! [`storage`](storage::Storage), [`jobs`](jobs::Jobs), [`realtime`](realtime::Realtime) and
//! [`channels`](realtime::Channels). The embedded default is
//! SQLite and the local disk; PostgreSQL, an object store, a mailer, a clock can be lent to [`Backend::builder`].
//! `universal-http` turns the same services into `tower` services.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use universal_core::{Backend, Caller, TenantId, collections::ListQuery, realtime::{Event, Subscribe}};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Todo { title: String, done: bool }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> universal_core::Result<()> {
//! let backend = Backend::in_memory().await?; // or `Backend::open("./data")`
//! let caller = Caller::system(TenantId::default_tenant());
//! let todos = backend.collection::<Todo>("todos")?;
//! let mut changes = backend.realtime().subscribe(&caller, Subscribe::to("todos".parse()?)).await?;
//!
//! let todo = todos.create(&caller, &Todo { title: "buy milk".into(), done: false }).await?;
//! if let Event::Change(change) = changes.next().await? {
//!     assert_eq!(change.id(), &todo.id);
//! }
//! let open = todos.list(&caller, &ListQuery::new().with_filter("done == false")?).await?;
//! assert_eq!(open.len(), 1);
//! backend.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! Every method takes a [`Caller`], and the rules hold for it as they do over HTTP; [`Caller::system`] alone, the program
//! itself, is bound by none. What must happen together is called on one [`Transaction`]: see [`Backend::transaction`].
//! Every failure is an [`Error`] with a kind to act on and a stable code.
//!
//! It opens no listener, installs nothing in the process and keeps no statics.
//!
//! | feature | brings |
//! |---|---|
//! | `sqlite` (default) | the embedded database |
//! | `fs` (default) | files on the local disk |
//! | `postgres` | PostgreSQL, for many processes on one database |
//! | `redis` | Redis as the way between several processes, instead of PostgreSQL |
//! | `smtp` | mail by SMTP, and the function `send_email` |
//! | `testing` | the conformance suites, for implementations of a host's own |

#![deny(missing_docs)]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(
        dead_code,
        unused_imports,
        reason = "without a database only the contracts are left, and what drivers need of them is unused"
    )
)]

pub mod auth;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod backend;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
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
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) mod hooks;
pub mod id;
pub mod jobs;
pub mod json;
pub mod page;
pub mod realtime;
pub mod secret;
pub mod settings;
pub mod storage;
pub mod transaction;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use backend::Backend;
pub use caller::Caller;
pub use clock::{Clock, SystemClock, Timestamp};
pub use cursor::Cursor;
#[cfg(all(feature = "testing", any(feature = "sqlite", feature = "postgres")))]
#[doc(hidden)]
pub use drivers::sql::lower::fuzz::translate as fuzz_translate;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use drivers::sql::transaction::Signalled;
pub use error::{Error, ErrorKind, Result};
pub use id::{ChannelName, CollectionName, DocumentId, TenantId, UserId};
pub use page::{Page, Snapshot};
pub use settings::Settings;
pub use transaction::Transaction;
