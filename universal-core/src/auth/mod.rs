//! Accounts, sessions and tokens: the contract [`Auth`], its models and its rules.
//!
//! | file | holds |
//! |---|---|
//! | `service` | the trait that drivers implement |
//! | `user`, `session` | what the service answers and takes |
//! | `email`, `password`, `role` | inputs that are checked once, by their constructor |
//! | `password_hash`, `hasher` | Argon2id and bcrypt, and the bounded queue in front of them |
//! | `token`, `keys` | access tokens (JWT, EdDSA) and the keys that sign them |
//! | `refresh_token`, `rotation` | refresh tokens, their successors, and what a second use means |
//! | `ticket` | what stands for an access token in the address of an event stream |
//! | `options` | every limit, with its default |

pub mod email;
pub mod hasher;
pub mod keys;
pub mod options;
pub mod password;
pub mod password_hash;
pub mod refresh_token;
mod refused_passwords;
pub mod role;
pub(crate) mod rotation;
pub mod service;
pub mod session;
pub mod ticket;
pub mod token;
pub mod user;
#[cfg(test)]
mod vectors;

pub use email::Email;
pub use keys::{AuthKeys, Jwk, Jwks};
pub use options::AuthOptions;
pub use service::Auth;
pub use session::{Login, Registration, SignedIn};
pub use user::{ImportUser, Profile, User};
