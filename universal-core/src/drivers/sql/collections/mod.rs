//! Documents in SQL.

mod commit;
mod configurations;
mod hooks;
mod list;
mod rows;
mod selection;
mod service;
mod write;

pub(crate) use configurations::SqlConfigurations;
pub(crate) use hooks::Hooks;
pub(crate) use service::SqlCollections;
