//! Documents in SQL.
