//! The same on both databases: whole sequences of operations, hostile names, and filters that cost the most.

mod drawn;
mod hidden;
mod hostile;
mod mirrors;
mod player;
mod sequences;
mod worst_filters;
