//! The expression language of filters and rules.

/// Stand-in.
#[derive(Clone, Debug)]
pub struct Expression;
