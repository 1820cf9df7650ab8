//! Documents in SQL.

mod configurations;
mod export;
mod import;
mod import_whole;
mod list;
mod restore;
mod rows;
mod selection;
mod service;
mod spool;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
