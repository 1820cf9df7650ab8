//! Suites that every implementation of a service must pass.
