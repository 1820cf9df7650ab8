//! Documents in SQL.

mod aggregate;
#[cfg(feature = "postgres")]
mod coalesce;
mod commit;
mod configurations;
mod count;
mod hooks;
mod list;
mod measure;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use hooks::Hooks;
pub(crate) use service::SqlCollections;
