//! The expression language of filters and rules.
