//! Canonical JSON and its total order.
//!
//! [`parse`] and [`Object`] are the door through which every JSON text enters: one pass checks it and
//! gives canonical values. [`Object::to_text`] is the one way in which a document is written down; both
//! databases hold exactly what it prints, and the SQL of filters relies on that.
//! [`order`](mod@order) is the one order and the one equality of values.

mod canonical;
pub(crate) mod decimal;
pub(crate) mod envelope;
pub(crate) mod key;
mod limits;
pub(crate) mod number;
mod object;
pub mod order;
mod print;
#[cfg(test)]
mod tests;
mod text;

pub use canonical::parse;
pub use limits::Limits;
pub use number::{from_f64, to_text as number_to_text};
pub use object::Object;
pub use print::{members_to_text, restore, value_to_text};
