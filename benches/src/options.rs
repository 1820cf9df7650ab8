//! The command line.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use crate::{
    documents::Operation,
    failure::{Failure, Result},
};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
load: measures the bundled server beside the limits of this machine

  --rounds N         interleaved rounds, of which the median counts   (5; at most 25)
  --seconds S        how long each measurement lasts                  (3; at most 60)
  --requests N       how many requests a measurement makes at most    (100000; at most 1000000)
  --connections N,…  HTTP connections, each with one request open     (16,64; at most 512)
  --creates N,…      the same for creations                           (16,64,256; at most 512)
  --subscribers N,…  WebSocket subscribers; 0 leaves fan-out away     (200,1000; at most 10000)
  --rate N           changes a second while the time to their receipt is taken, with as many subscribers as the first
                     of --subscribers says; 0 leaves it away          (0; at most 1000)
  --replay N         how many changes are replayed; 0 leaves it away  (0; at most 1000000)
  --large N          compares a short list in N documents and in 10000; 0 leaves it away (0; at most 10000000)
  --postgres URL     on this PostgreSQL, in a database of its own that is dropped at the end; else SQLite
  --server PATH      the bundled server's program                     (examples/server beside this program)
  --pgbench PATH     PostgreSQL's bench program                       (found in PATH or /usr/lib/postgresql)
  --data FOLDER      where temporary folders are made; must be a disk (beside this program)

Build both with the same profile, then run, for figures that tell something on a machine with nothing else to do:

  cargo build --release -p universal-examples --example server
  cargo run --release -p universal-benches --bin load
";

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) time: Duration,
    pub(crate) requests: u64,
    pub(crate) connections: Vec<usize>,
    pub(crate) creates: Vec<usize>,
    pub(crate) large: u64,
    pub(crate) subscribers: Vec<usize>,
    pub(crate) rate: u32,
    pub(crate) replay: u64,
    pub(crate) postgres: Option<String>,
    pub(crate) server: Option<PathBuf>,
    pub(crate) pgbench: Option<PathBuf>,
    pub(crate) data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rounds: 5,
            time: Duration::from_secs(3),
            requests: 100_000,
            connections: vec![16, 64],
            creates: vec![16, 64, 256],
            large: 0,
            subscribers: vec![200, 1000],
            rate: 0,
            replay: 0,
            postgres: None,
            server: None,
            pgbench: None,
            data: None,
        }
    }
}

impl Options {
    /// Reads the arguments; nothing if help is wanted.
    ///
    /// # Errors
    /// An option that is unknown, lacks its value or is out of range.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Self>> {
        let mut options = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let name = argument.to_string_lossy().into_owned();
            if name == "--help" || name == "-h" {
                return Ok(None);
            }
            let value = arguments.next().ok_or_else(|| format!("{name}: a value is missing; see --help"))?;
            options.set(&name, value)?;
        }
        Ok(Some(options))
    }

    fn set(&mut self, name: &str, value: OsString) -> Result<()> {
        let text = value.to_string_lossy().into_owned();
        match name {
            "--rounds" => self.rounds = within(name, &text, 1, 25)?,
            "--seconds" => self.time = Duration::from_secs(within(name, &text, 1, 60)?),
            "--requests" => self.requests = within(name, &text, 1, 1_000_000)?,
            "--connections" => self.connections = list(name, &text, 1, 512)?,
            "--creates" => self.creates = list(name, &text, 1, 512)?,
            "--rate" => self.rate = within(name, &text, 0, 1000)?,
            "--replay" => self.replay = within(name, &text, 0, 1_000_000)?,
            "--large" => self.large = within(name, &text, 0, 10_000_000)?,
            "--subscribers" => {
                self.subscribers = list(name, &text, 0, 10_000)?;
                self.subscribers.retain(|count| *count > 0);
            }
            "--postgres" => self.postgres = Some(text),
            "--server" => self.server = Some(value.into()),
            "--pgbench" => self.pgbench = Some(value.into()),
            "--data" => self.data = Some(value.into()),
            _ => return Err(format!("{name}: there is no such option; see --help").into()),
        }
        Ok(())
    }

    /// With how many connections an operation is measured.
    pub(crate) fn connections(&self, operation: Operation) -> &[usize] {
        if operation == Operation::Create { &self.creates } else { &self.connections }
    }

    /// How many files each process may have open at once.
    pub(crate) fn open_files(&self) -> usize {
        let most = self.connections.iter().chain(&self.creates).chain(&self.subscribers).max().copied().unwrap_or(0);
        most + 256
    }
}

fn list(name: &str, text: &str, from: usize, to: usize) -> Result<Vec<usize>> {
    text.split(',').map(|part| within(name, part, from, to)).collect()
}

fn within<T: FromStr + PartialOrd + std::fmt::Display>(name: &str, text: &str, from: T, to: T) -> Result<T> {
    let wanted = || -> Failure { format!("{name}: expected a whole number from {from} to {to}").into() };
    let number = text.trim().parse::<T>().map_err(|_| wanted())?;
    if number < from || number > to { Err(wanted()) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Option<Options>> {
        Options::read(arguments.iter().map(OsString::from))
    }

    #[test]
    fn arguments() {
        let options = read(&["--connections", "1,2", "--subscribers", "0", "--rounds", "1"]).unwrap().unwrap();
        assert_eq!((options.connections, options.subscribers, options.rounds), (vec![1, 2], vec![], 1));
        assert!(read(&["--help"]).unwrap().is_none());
        for bad in [&["--rounds"][..], &["--rounds", "0"], &["--connections", ""], &["--nothing", "1"]] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }
}
