//! How a case says what it found.

use std::fmt::{Debug, Display};

use crate::error::{Error, ErrorKind};

/// A case under the name of its function.
macro_rules! case {
    ($function:ident) => {
        Case { name: stringify!($function), run: |on| Box::pin($function(on)) }
    };
}

/// An unexpected error.
pub(crate) fn failed(error: impl Display) -> String {
    format!("unexpected: {error}")
}

/// `condition`, or what is wrong without it.
pub(crate) fn check(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// That two values are equal.
pub(crate) fn check_eq<T: PartialEq + Debug>(found: &T, expected: &T) -> Result<(), String> {
    check(found == expected, &format!("found {found:?} instead of {expected:?}"))
}

/// That an operation was refused with this kind and code.
pub(crate) fn refused<T>(outcome: Result<T, Error>, kind: ErrorKind, code: &str) -> Result<(), String> {
    match outcome {
        Ok(_) => Err(format!("it succeeded instead of answering {code}")),
        Err(error) if (error.kind(), error.code()) == (kind, code) => Ok(()),
        Err(error) => Err(format!("it answered {error:?} instead of {kind:?} {code}")),
    }
}
