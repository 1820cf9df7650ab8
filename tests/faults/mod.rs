//! What a crash may take: nothing that was acknowledged.

mod book;
mod files;
mod kill;
mod writers;
