//! Documents in SQL.

mod aggregate;
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
