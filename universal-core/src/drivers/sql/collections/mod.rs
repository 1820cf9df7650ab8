//! Documents in SQL.

#[cfg(feature = "postgres")]
mod coalesce;
mod beside;
mod cascade;
mod configurations;
mod dropping;
mod expiries;
mod inbound;
mod list;
mod maintenance;
mod rebuild;
mod references;
mod renaming;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
