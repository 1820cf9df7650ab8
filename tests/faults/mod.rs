//! What a crash may take: nothing that was acknowledged.

mod book;
mod kill;
mod writers;
