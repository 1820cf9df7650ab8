//! The job queue in SQL.
//!
//! One table, `universal_jobs`. Every moment in it is of the database's clock. A claim is one statement that
//! goes across tenants: the worker serves them all, and every row keeps its tenant in its key. That and pruning are the only
//! statements here without a tenant, and the partial indexes they use the only ones that do not begin with it.

mod claim;
mod finish;
mod order;
mod queue;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use queue::SqlQueue;
