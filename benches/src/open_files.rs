//! How many sockets a process may have.

use std::{fs, os::unix::process::CommandExt as _, process::Command};

use crate::failure::Result;

/// Set for the second start, so that there is no third.
const AGAIN: &str = "LOAD_STARTED_AGAIN";

/// Makes sure that this process, and those it will start, may have `wanted` files open; starts this program again with
/// a higher limit if need be. Call it before anything else was started.
///
/// # Errors
/// The system allows fewer.
pub(crate) fn allow(wanted: usize) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let allowed = soft(&limits);
    if allowed.is_none_or(|allowed| allowed >= wanted) {
        return Ok(());
    }
    if std::env::var_os(AGAIN).is_some() {
        let few =
            format!("{wanted} files must be open at once, and the system allows fewer; ask for fewer subscribers");
        return Err(few.into());
    }
    // Rust's library has no name for this limit; every shell has.
    let raise = "ulimit -n \"$0\" && exec \"$@\"";
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(raise).arg(wanted.to_string()).arg(std::env::current_exe()?);
    Err(shell.args(std::env::args_os().skip(1)).env(AGAIN, "1").exec().into())
}

/// The first number of `Max open files`; nothing where it is unlimited or not told.
fn soft(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table() {
        let line = "Max open files            1024                 524288               files     \n";
        assert_eq!(soft(line), Some(1024));
        assert_eq!(soft("Max open files            unlimited            unlimited            files"), None);
    }
}
