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
mod deaf;
mod files;
mod frames;
mod idle;
mod kill;
mod killed_work;
mod lives;
mod nodes;
mod stop;
mod transactions;
mod writers;
