//! Documents in SQL.

#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod list;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
