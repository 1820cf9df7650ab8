//! A listener with limits.
