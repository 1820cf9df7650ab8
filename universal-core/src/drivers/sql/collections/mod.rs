//! Documents in SQL.

mod aggregate;
mod batch;
mod beside;
mod cascade;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod dropping;
mod expiries;
mod in_flight;
mod inbound;
mod kept_answers;
mod list;
mod maintenance;
mod matching;
mod measure;
mod perform;
mod rebuild;
mod references;
mod renaming;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
