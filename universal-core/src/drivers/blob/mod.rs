//! Files on an `object_store`.
