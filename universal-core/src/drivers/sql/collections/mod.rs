//! Documents in SQL.

mod aggregate;
mod batch;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod expand;
mod in_flight;
mod kept_answers;
mod list;
mod matching;
mod measure;
mod perform;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
