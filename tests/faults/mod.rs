//! What a crash may take: nothing that was acknowledged.

mod batches;
mod book;
mod bus;
mod chaos;
mod chaos_chain;
mod chaos_full;
mod chaos_hub;
mod chaos_readers;
mod chaos_writers;
mod files;
mod kill;
mod killed_work;
mod lives;
mod nodes;
mod transactions;
mod writers;
