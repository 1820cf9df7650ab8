//! Whole paths through the product, as its users walk them.

mod readme;
mod todo;
