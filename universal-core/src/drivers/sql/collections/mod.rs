//! Documents in SQL.

mod aggregate;
mod count;
mod list;
mod measure;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use service::SqlCollections;
