//! The different values of a field.

use serde_json::Value;

use crate::{
    collections::{aggregate::GroupLimit, name_list::one, query::parse_filter},
    error::{Error, Result},
    expr::{Expression, Field},
};

/// Which values of which field.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DistinctQuery {
    /// The field.
    pub field: Field,
    /// Only of documents that match.
    pub filter: Option<Expression>,
    /// How many values are answered.
    pub limit: GroupLimit,
}

impl DistinctQuery {
    /// The first 1 000 values of a field, named as a filter names it.
    ///
    /// # Errors
    /// `Invalid` with the position for what is no field.
    pub fn new(field: &str) -> Result<Self> {
        let field = one(field).map_err(|error| {
            Error::invalid("invalid-field", format!("`field` takes a field's name: {}", error.message()))
                .with_field("field")
                .with_position(error.position().unwrap_or(0))
        })?;
        Ok(Self { field, filter: None, limit: GroupLimit::default() })
    }

    /// Only of documents that match the filter's text.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_filter(mut self, filter: &str) -> Result<Self> {
        self.filter = Some(parse_filter(filter)?);
        Ok(self)
    }

    /// Only of documents that match.
    #[must_use]
    pub fn with_expression(mut self, filter: Expression) -> Self {
        self.filter = Some(filter);
        self
    }

    /// With at most so many values.
    #[must_use]
    pub fn with_limit(mut self, limit: GroupLimit) -> Self {
        self.limit = limit;
        self
    }
}

/// The values that a [`DistinctQuery`] found.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Distinct {
    /// The values in the total order; arrays and objects, which tie, by the smallest id that holds them. Null is a
    /// value, a missing member is none.
    pub values: Vec<Value>,
    /// Whether there are more values than the limit, or than fit into 8 MiB.
    pub more: bool,
}

impl Distinct {
    /// An answer, for drivers.
    #[must_use]
    pub fn new(values: Vec<Value>, more: bool) -> Self {
        Self { values, more }
    }
}
