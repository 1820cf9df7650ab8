//! What runs for long between contracts.
