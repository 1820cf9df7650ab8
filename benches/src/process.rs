//! Processes that this program starts, and ends.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use crate::failure::Result;

/// A process of ours; killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// The program cannot be run.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let child = command.spawn().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Starts this very program with a hidden subcommand that serves, and answers its address too.
    ///
    /// # Errors
    /// It cannot be run, or ends before it listens.
    pub(crate) fn limit(subcommand: &str) -> Result<(Self, SocketAddr)> {
        let mut command = Command::new(std::env::current_exe()?);
        // It ends when its input does, so it goes with us even if we are killed.
        command.arg(subcommand).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self::start(&mut command)?;
        let mut line = String::new();
        if let Some(output) = process.child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let address = line.trim().parse().map_err(|_| format!("`{subcommand}` did not say where it listens"))?;
        Ok((process, address))
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
