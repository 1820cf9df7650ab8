//! The job queue in SQL.
