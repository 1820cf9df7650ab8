//! Whole sequences of operations against a model in memory, written from the pages about documents and expressions and
//! not from the code: what it answers, both databases must answer.

mod bounds;
mod differential;
mod drawn;
mod events;
mod filter;
mod lines;
mod reading;
mod side;
mod value;
mod world;
