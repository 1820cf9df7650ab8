//! The values that a piece of SQL binds, numbered from where the caller's own end.

use sea_orm::Value;

/// Values in the order of their placeholders.
#[derive(Debug)]
pub(super) struct Binds {
    first: usize,
    values: Vec<Value>,
    /// Names and paths that are bound already; a field that occurs twice is bound once.
    names: Vec<(String, String)>,
}

impl Binds {
    /// The first value will be `$first`.
    pub(super) fn new(first: usize) -> Self {
        Self { first, values: Vec::new(), names: Vec::new() }
    }

    /// Binds a value and gives its placeholder.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        let placeholder = format!("${}", self.first + self.values.len());
        self.values.push(value.into());
        placeholder
    }

    /// Binds a member's name or a path, once.
    pub(super) fn name(&mut self, name: &str) -> String {
        if let Some((_, placeholder)) = self.names.iter().find(|(bound, _)| bound == name) {
            return placeholder.clone();
        }
        let placeholder = self.bind(name);
        self.names.push((name.to_owned(), placeholder.clone()));
        placeholder
    }

    /// The values.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}
