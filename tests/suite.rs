//! Every test that needs more than one module: the contracts, the wire, whole flows, faults, and the tidiness of the sources.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where it finds something wrong, and says what"
)]

mod conformance;
mod drift;
mod faults;
mod flow;
mod http;
mod tidy;
