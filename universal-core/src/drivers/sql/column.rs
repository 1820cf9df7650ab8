//! The types that a column can be read as, whichever way its row came.

use std::sync::Arc;

use sea_orm::TryGetable;

#[cfg(feature = "sqlite")]
use crate::drivers::sql::sqlite::cell::Cell;

/// A type that a column can be read as.
pub(crate) trait Column: Sized {
    /// What sea-orm reads for it.
    type Orm: TryGetable;

    /// From what sea-orm has read.
    fn from_orm(value: Self::Orm) -> Self;

    /// From what a connection of our own has read; nothing if the cell holds another kind.
    #[cfg(feature = "sqlite")]
    fn from_cell(cell: &Cell) -> Option<Self>;
}

/// Columns that sea-orm reads as what they are.
macro_rules! plain {
    ($($type:ty: $cell:ident => $value:expr;)*) => {$(
        impl Column for $type {
            type Orm = Self;

            fn from_orm(value: Self) -> Self {
                value
            }

            #[cfg(feature = "sqlite")]
            fn from_cell($cell: &Cell) -> Option<Self> {
                $value
            }
        }
    )*};
}

plain! {
    String: cell => match cell {
        Cell::Text(text) => Some((**text).to_owned()),
        _ => None,
    };
    Vec<u8>: cell => match cell {
        Cell::Blob(bytes) => Some(bytes.clone()),
        _ => None,
    };
    // What `EXPLAIN (FORMAT JSON)` answers.
    serde_json::Value: cell => match cell {
        Cell::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    };
    i64: cell => match cell {
        Cell::Integer(number) => Some(*number),
        _ => None,
    };
    i32: cell => i64::from_cell(cell).and_then(|number| number.try_into().ok());
    bool: cell => i64::from_cell(cell).map(|number| number != 0);
    f64: cell => match cell {
        Cell::Real(number) => Some(*number),
        // SQLite stores a whole double as an integer, to save room; up to 2^53 it is the same number.
        #[expect(clippy::cast_precision_loss, reason = "what was stored as a double comes back as that double")]
        Cell::Integer(number) => Some(*number as Self),
        _ => None,
    };
}

/// A text that many may hold: from a connection of our own it is not copied.
impl Column for Arc<str> {
    type Orm = String;

    fn from_orm(value: String) -> Self {
        value.into()
    }

    #[cfg(feature = "sqlite")]
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Text(text) => Some(Self::clone(text)),
            _ => None,
        }
    }
}

impl<T: Column> Column for Option<T> {
    type Orm = Option<T::Orm>;

    fn from_orm(value: Self::Orm) -> Self {
        value.map(T::from_orm)
    }

    #[cfg(feature = "sqlite")]
    fn from_cell(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Null => Some(None),
            _ => T::from_cell(cell).map(Some),
        }
    }
}
