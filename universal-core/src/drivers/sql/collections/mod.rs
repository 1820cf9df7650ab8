//! Documents in SQL.

mod aggregate;
mod batch;
mod build;
mod build_words;
#[cfg(feature = "postgres")]
mod coalesce;
mod commit;
mod configurations;
mod count;
mod entries;
mod expand;
mod export;
mod hooks;
mod import;
mod import_whole;
mod in_flight;
mod indexes;
mod kept_answers;
mod list;
mod matching;
mod measure;
mod perform;
mod ranked;
mod restore;
mod rows;
mod search;
mod selection;
mod service;
mod spool;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use hooks::Hooks;
pub(crate) use service::SqlCollections;
