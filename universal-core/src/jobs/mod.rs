//! Background jobs and functions.
