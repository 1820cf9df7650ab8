//! What a list asks for.

use crate::{
    collections::{
        count::Counting,
        expand::Expand,
        fields::Fields,
        name_list::{one, split},
    },
    error::{Error, Result},
    expr::{Expression, Field, Scope, build::Condition},
    page::Limit,
};

/// How many keys a list sorts by at most.
pub const MAX_SORT_KEYS: usize = 4;

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    Descending,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// One key of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sort {
    /// The field.
    pub field: Field,
    /// Up or down.
    pub direction: Direction,
}

impl Sort {
    /// A key.
    #[must_use]
    pub fn new(field: Field, direction: Direction) -> Self {
        Self { field, direction }
    }

    /// Keys from their text: fields separated by commas, `-` before one that goes down: `-priority,title`.
    ///
    /// # Errors
    /// `Invalid` with the position for a field that cannot be sorted by; more than
    /// [`MAX_SORT_KEYS`] keys; a key that stands twice.
    pub fn parse(text: &str) -> Result<Vec<Self>> {
        let mut keys: Vec<Self> = Vec::new();
        for (position, part) in split(text) {
            let (name, direction) = match part.strip_prefix('-') {
                Some(name) => (name, Direction::Descending),
                None => (part, Direction::Ascending),
            };
            let field = one(name.trim()).map_err(|error| {
                let within = error.position().unwrap_or(0);
                Error::invalid("invalid-sort", format!("a sort key is a field's name: {}", error.message()))
                    .with_field("sort")
                    .with_position(position + part.len() - name.len() + within)
            })?;
            if keys.iter().any(|key| key.field == field) {
                return Err(bad_sort("a field can be a sort key once", position));
            }
            keys.push(Self { field, direction });
            if keys.len() > MAX_SORT_KEYS {
                return Err(bad_sort("a list sorts by 4 keys at most", position));
            }
        }
        Ok(keys)
    }
}

fn bad_sort(message: &str, position: usize) -> Error {
    Error::invalid("invalid-sort", message).with_field("sort").with_position(position)
}

/// A list: which documents, in which order, how many, from where.
///
/// ```
/// use universal_core::collections::ListQuery;
/// let query = ListQuery::new().with_filter("done == false && priority > 3")?.with_sort("-priority,title")?;
/// assert_eq!(query.sort.len(), 2);
/// # Ok::<(), universal_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListQuery {
    /// Only documents that match.
    pub filter: Option<Expression>,
    /// The order; ties, and a list without keys, are ordered by id.
    pub sort: Vec<Sort>,
    /// How many documents a page holds.
    pub limit: Limit,
    /// Where the page begins, as another page said.
    pub cursor: Option<String>,
    /// Whether all that match are counted too.
    pub count: Counting,
    /// Which members are shown; all of them without a selection.
    pub fields: Option<Fields>,
    /// Which references are followed.
    pub expand: Option<Expand>,
    /// Only documents in which these words stand; without sort keys those that fit best come first.
    pub search: Option<String>,
    /// A page ends with the document whose body reaches this number of bytes, if it is less than for any list.
    pub(crate) page_bytes: Option<usize>,
}

impl ListQuery {
    /// The first 50 documents by id.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only documents that match the filter's text.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_filter(mut self, filter: &str) -> Result<Self> {
        self.filter = Some(parse_filter(filter)?);
        Ok(self)
    }

    /// Only documents that match.
    #[must_use]
    pub fn with_expression(mut self, filter: Expression) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only documents that match a condition made in Rust.
    ///
    /// # Errors
    /// As [`Condition::filter`].
    pub fn filter_by(self, filter: Condition) -> Result<Self> {
        Ok(self.with_expression(filter.filter()?))
    }

    /// In the order of the text, as [`Sort::parse`] reads it.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_sort(mut self, sort: &str) -> Result<Self> {
        self.sort = Sort::parse(sort)?;
        Ok(self)
    }

    /// With pages of this size.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.limit = limit;
        self
    }

    /// With these members only, as [`Fields::parse`] reads them.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_fields(mut self, fields: &str) -> Result<Self> {
        self.fields = Some(Fields::parse(fields)?);
        Ok(self)
    }

    /// With the documents that these references name, as [`Expand::parse`] reads them.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_expand(mut self, expand: &str) -> Result<Self> {
        self.expand = Some(Expand::parse(expand)?);
        Ok(self)
    }

    /// Only documents in which the words of `text` stand: `"phrases"`, `-excluded` words and `beginnings*` among them.
    /// The collection's settings say what is searched.
    #[must_use]
    pub fn with_search(mut self, text: impl Into<String>) -> Self {
        self.search = Some(text.into());
        self
    }

    /// With a count of all that match.
    #[must_use]
    pub fn with_count(mut self, count: Counting) -> Self {
        self.count = count;
        self
    }

    /// From the place that another page gave.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.cursor = Some(cursor.into());
        self
    }
}

/// How a single document is read.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GetQuery {
    /// Which members are shown; all of them without a selection.
    pub fields: Option<Fields>,
    /// Which references are followed.
    pub expand: Option<Expand>,
}

impl GetQuery {
    /// The whole document, and no other.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With these members only, as [`Fields::parse`] reads them.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_fields(mut self, fields: &str) -> Result<Self> {
        self.fields = Some(Fields::parse(fields)?);
        Ok(self)
    }

    /// With the documents that these references name, as [`Expand::parse`] reads them.
    ///
    /// # Errors
    /// `Invalid` with the position.
    pub fn with_expand(mut self, expand: &str) -> Result<Self> {
        self.expand = Some(Expand::parse(expand)?);
        Ok(self)
    }
}

/// The filter of a text, with the parameter's name in its error.
///
/// # Errors
/// `Invalid` with the position.
pub(crate) fn parse_filter(text: &str) -> Result<Expression> {
    Expression::parse(text, Scope::Filter).map_err(|error| match error.field() {
        Some(_) => error,
        None => error.with_field("filter"),
    })
}
