//! Documents in SQL.

mod batch;
mod kept_answers;
mod list;
mod matching;
mod perform;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use service::SqlCollections;
