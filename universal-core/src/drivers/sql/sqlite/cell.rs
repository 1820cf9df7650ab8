//! What SQLite answers, taken off its page.

use std::sync::Arc;

use rusqlite::types::ValueRef;

/// One column of one row.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// `NULL`.
    Null,
    /// A 64-bit integer; a boolean is one too.
    Integer(i64),
    /// A double.
    Real(f64),
    /// A text.
    Text(Arc<str>),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The columns of the current row.
pub(super) fn cells(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Vec<Cell>> {
    (0..columns).map(|index| cell(index, row.get_ref(index)?)).collect()
}

fn cell(index: usize, value: ValueRef<'_>) -> rusqlite::Result<Cell> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => {
            let text = std::str::from_utf8(text).map_err(|error| rusqlite::Error::Utf8Error(index, error))?;
            Cell::Text(text.into())
        }
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    })
}
