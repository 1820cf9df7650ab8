//! What handlers read from a request, checked: each file one part of it.

pub(crate) mod bearer;
pub(crate) mod conditional;
pub(crate) mod json;
pub(crate) mod page;
pub(crate) mod path;
pub(crate) mod query;
