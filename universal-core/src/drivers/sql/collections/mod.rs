//! Documents in SQL.

mod list;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use service::SqlCollections;
