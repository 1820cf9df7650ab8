//! Workers: they take jobs from a [`Queue`](crate::jobs::Queue) and run them on apalis.
//!
//! ```text
//!  claimer --(claimed jobs, bounded)--> apalis Worker --> attempt: handler, timeout, panic, stop --> complete | fail | release
//!     ^ wake-up, poll                     ^ supervised            ^                                      |
//!     +---- free slots -------------------+                       +---- keeper: beats, cancels ----------+
//! ```
//!
//! apalis runs the handlers; what it does not do durably is ours (`docs/decisions/0003-jobs-on-apalis.md`): claims, leases,
//! retries, cancels and panics.

mod attempt;
mod backend;
mod claimer;
mod keeper;
mod options;
mod running;
mod shared;
mod supervisor;
mod workers;

pub use options::WorkerOptions;
pub use workers::Workers;
