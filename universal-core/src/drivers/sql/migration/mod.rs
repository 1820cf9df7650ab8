//! The tables, step by step.
//!
//! [`Migrator`] is a [`sea_orm_migration::MigratorTrait`]: a host can run it, list what is pending
//! or put it beside its own. Its tables all begin with `universal_`, and it keeps its own record of
//! what has run in `universal_migrations`, so that it never meets the host's.

mod auth;
mod channels;
mod consumers;
mod expiries;
mod heads;
mod idempotency;
mod indexes;
mod jobs;
mod migrator;
mod references;
mod search;
mod settings;
mod spine;
mod step;
mod storage;
mod tenants;
mod tickets;

pub use migrator::Migrator;
