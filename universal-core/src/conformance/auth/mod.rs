//! The promises of [`Auth`](crate::auth::Auth).
//!
//! Run every case of [`cases`] with a fixture of its own, or one after another on the same one: each makes
//! its own accounts, but they turn the same clock and disable the same tenant. Give the implementation a low hashing cost.

mod access;
mod accounts;
mod fixture;
mod rights;
mod sessions;
mod tenants;
mod tickets;

pub use fixture::{AuthFixture, Disable};

use crate::conformance::case::Case;

/// All cases.
pub fn cases() -> impl Iterator<Item = Case<AuthFixture>> {
    [accounts::CASES, rights::CASES, sessions::CASES, access::CASES, tenants::CASES, tickets::CASES]
        .into_iter()
        .flatten()
        .copied()
}
