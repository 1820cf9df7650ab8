//! Documents in SQL.

mod batch;
mod configurations;
mod in_flight;
mod kept_answers;
mod list;
mod matching;
mod perform;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use service::SqlCollections;
