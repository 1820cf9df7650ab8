//! The architecture as tests: who may know whom, how names are imported, how large a file grows.
//!
//! `docs/architecture.md` says why. A failure names the file and the line, and says what to do.

mod codes;
mod floors;
mod laws;
mod marks;
mod paths;
mod source;
