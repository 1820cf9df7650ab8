//! Signals to the processes that tests start.

use std::process::Command;

/// Sends a signal (`STOP`, `CONT`, `TERM`) to a process of ours.
pub fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().expect("the kill command");
    assert!(sent.success(), "the process {id} has ended; it was to get the signal {name}");
}
