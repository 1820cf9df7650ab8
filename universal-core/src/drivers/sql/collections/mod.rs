//! Documents in SQL.

mod rows;
mod service;
mod write;

pub(crate) use service::SqlCollections;
