//! Background jobs and functions: named async Rust functions, run by workers from a durable queue.
//!
//! A **function** is code that the host registers under a name ([`Functions`]). A **job** is one
//! order to run a function: a row in the database, made in the transaction of its cause
//! ([`Jobs::enqueue_in`]) or alone ([`Jobs::enqueue`]), and read back by its id.
//!
//! What is promised:
//! - a job whose enqueueing was committed ends: succeeded, dead (all attempts used) or cancelled;
//! - it is run **at least once** per success: a worker that dies in the middle is noticed by the end
//!   of its lease, and the job runs again. Effects that must happen exactly once belong in
//!   [`JobContext::complete_with`], which commits them together with the completion, and only if this
//!   attempt still holds the job;
//! - an attempt is counted when it begins, so that a job which kills its process cannot do so for ever;
//! - a failed attempt waits in the database, not in memory, for its next one.
//!
//! The storage is behind the port [`Queue`]; [`QueuedJobs`] is the service over any queue.

mod context;
mod enqueue;
mod function;
mod function_name;
mod job;
mod list;
mod mailer;
mod queue;
mod queued;
mod retry;
mod send_email;
mod service;

pub use context::{JobContext, StopReason};
pub use enqueue::{DEFAULT_ATTEMPTS, Enqueue, MAX_INPUT_BYTES, MAX_RESULT_BYTES};
pub use function::{Access, Function, FunctionOptions, Functions, FunctionsBuilder, Handler};
pub use function_name::FunctionName;
pub use job::{Job, JobEvent, JobFailure, JobId, JobState};
pub use list::ListJobs;
pub use mailer::{Address, Email, Mailer, Subject};
pub(crate) use queue::fenced;
pub use queue::{Claim, Claimed, Effects, Failure, Held, Lease, NewJob, Queue, Wait};
pub use queued::QueuedJobs;
pub use retry::Backoff;
pub use send_email::{SEND_EMAIL, SendEmail, register_send_email};
pub use service::{Jobs, Ran};
