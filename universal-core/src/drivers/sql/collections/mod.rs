//! Documents in SQL.

mod aggregate;
mod batch;
mod beside;
mod build;
mod build_words;
mod candidates;
mod cascade;
#[cfg(feature = "postgres")]
mod coalesce;
mod commit;
mod configurations;
mod count;
mod creations;
mod dropping;
mod entries;
mod expand;
mod expiries;
mod export;
mod hooks;
mod import;
mod import_whole;
mod in_flight;
mod inbound;
mod indexes;
mod kept_answers;
mod list;
mod maintenance;
mod matching;
mod measure;
mod perform;
mod ranked;
mod rebuild;
mod references;
mod renaming;
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
