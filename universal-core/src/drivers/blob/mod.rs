//! Files on an `object_store`: local disk, memory, or a store that the host lends.

mod download;
mod service;
mod store;
mod sweep;
mod upload;

pub use service::BlobStorage;
pub use store::BlobStore;
