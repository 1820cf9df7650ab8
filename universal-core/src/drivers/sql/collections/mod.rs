//! Documents in SQL.

mod aggregate;
mod build;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod entries;
mod indexes;
mod list;
mod measure;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use build::SqlIndexBuilder;
pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
