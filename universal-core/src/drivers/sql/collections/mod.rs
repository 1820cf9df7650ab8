//! Documents in SQL.

mod aggregate;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod expand;
mod list;
mod measure;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
