//! Names and values that attack a database are data to both, wherever they come in.

mod everywhere;
mod places;
mod statements;
mod texts;
