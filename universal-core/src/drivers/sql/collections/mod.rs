//! Documents in SQL.

mod aggregate;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod export;
mod import;
mod import_whole;
mod list;
mod measure;
mod ranked;
mod restore;
mod rows;
mod search;
mod selection;
mod service;
mod spool;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
