//! Why a measurement could not be taken.

/// A sentence for the one who runs the program.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What nearly every function here answers.
pub(crate) type Result<T> = std::result::Result<T, Failure>;
