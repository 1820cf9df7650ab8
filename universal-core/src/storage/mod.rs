//! Files: objects in buckets, their bytes in an object store and the truth about them in a row.
//!
//! [`Storage`] is the contract. An object is published by one transaction after its bytes are
//! complete and durable, so that a reader sees the old file or the new one and never half of one.
//! [`Catalog`] is the port behind which the rows are kept; [`Sweep`] removes bytes that no row
//! needs any more.
//!
//! The rule of this version, in every bucket, as for documents that nobody configured: the
//! anonymous are refused; whoever signed in may put a new object and owns it; its owner and
//! administrators read, replace, list and delete it; for everybody else it does not exist.

mod bucket;
mod catalog;
mod content;
mod content_type;
mod decide;
mod key;
mod listing;
mod object;
mod service;
mod signed_url;
mod sweep;
mod upload;

pub use bucket::BucketName;
pub use catalog::{Blob, Catalog, Entry, NewVersion, Publication, Published, Removal, Scan, UploadToken, Version};
pub use content::{ByteRange, ByteStream, Content, GetOptions};
pub use content_type::ContentType;
pub use decide::{PutDecision, decide_delete, decide_put, decide_read, require_identity};
pub use key::ObjectKey;
pub use listing::{ListObjects, Listing, ObjectPage};
pub use object::Object;
pub use service::Storage;
pub use signed_url::{Grant, PresignMethod, PresignRequest, Presigned, Signer};
pub use sweep::{Sweep, Swept};
pub use upload::{Match, PutOptions, PutOutcome};
