//! Documents in SQL.

mod aggregate;
mod batch;
mod build;
#[cfg(feature = "postgres")]
mod coalesce;
mod configurations;
mod count;
mod entries;
mod in_flight;
mod indexes;
mod kept_answers;
mod list;
mod matching;
mod measure;
mod perform;
mod rows;
mod selection;
mod service;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
