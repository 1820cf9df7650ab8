//! The same on both databases: whole sequences of operations, hostile names, and filters that cost the most.

mod crowd;
mod drawn;
mod hidden;
mod hostile;
mod mirrors;
mod model;
mod player;
mod rights;
mod sequences;
mod worst_filters;
