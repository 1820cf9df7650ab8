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

    /// The SQL with those of the values that it has places for, numbered anew: what a part bound is of no use if the part
    /// turned out to be an error. No text of a caller is in the SQL, so each `$` begins a placeholder.
    pub(super) fn finish(self, sql: String) -> (String, Vec<Value>) {
        let mut places: Vec<Option<usize>> = vec![None; self.values.len()];
        let mut next = self.first;
        let mut out = String::with_capacity(sql.len());
        let mut rest = sql.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
            let (number, after) = after.split_at(digits);
            let place = number.parse::<usize>().ok().and_then(|number| places.get_mut(number.checked_sub(self.first)?));
            let number = place.map(|place| {
                *place.get_or_insert_with(|| {
                    next += 1;
                    next - 1
                })
            });
            out.push_str(before);
            out.push_str(&format!("${}", number.unwrap_or_default()));
            rest = after;
        }
        out.push_str(rest);
        let mut values: Vec<(usize, Value)> =
            places.into_iter().zip(self.values).filter_map(|(place, value)| Some((place?, value))).collect();
        values.sort_by_key(|(place, _)| *place);
        (out, values.into_iter().map(|(_, value)| value).collect())
    }

    /// The values.
    pub(super) fn into_values(self) -> Vec<Value> {
        self.values
    }
}
