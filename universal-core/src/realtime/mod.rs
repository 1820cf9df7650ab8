//! The change feed and its subscribers.
