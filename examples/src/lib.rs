//! The parts of the example programs that the tests run too. Each program beside this library is a page long; read it first.
//!
//! | program | shows |
//! |---|---|
//! | `server` | the bundled server: everything from the environment, graceful stop |
//! | `todo` | a page in plain HTML and JavaScript on top of it |
//! | `axum_mount` | the backend under a path of an existing axum program |
//! | `hyper_mount` | the same without a framework |
//! | `embed` | no HTTP at all: documents, a transaction, a job and a subscription in Rust |

pub mod api;
pub mod axum_mount;
pub mod embed;
pub mod functions;
pub mod hyper_mount;
pub mod program;

/// The programs in the README, compiled by `cargo test --doc`.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[derive(Debug)]
pub struct Readme;
