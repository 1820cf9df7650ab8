//! Processor time, as Linux counts it under `/proc`.

use std::{fs, time::Duration};

use crate::failure::Result;

/// Linux shows processor time in hundredths of a second on every machine we know (`getconf CLK_TCK`).
const TICK: Duration = Duration::from_millis(10);

/// Whose time is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watched {
    /// The process that answers.
    pub(crate) process: u32,
    /// The process that PostgreSQL's others descend from, if PostgreSQL takes part and runs on this machine.
    pub(crate) postmaster: Option<u32>,
}

/// Processor time used so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) process: Duration,
    pub(crate) database: Option<Duration>,
}

impl Watched {
    /// What was used until now.
    ///
    /// # Errors
    /// The process has ended, or this is not Linux.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let stat = Stat::read(self.process)
            .ok_or("the processor time of a process cannot be read: it has ended, or this is not Linux")?;
        Ok(Usage { process: stat.own, database: self.postmaster.and_then(family) })
    }
}

impl Watched {
    /// How many bytes the process holds in memory now.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib * 1024)
    }
}

impl Usage {
    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> (Duration, Option<Duration>) {
        let database = self.database.zip(before.database).map(|(now, then)| now.saturating_sub(then));
        (self.process.saturating_sub(before.process), database)
    }
}

/// The process that a PostgreSQL backend process descends from, if both are of this machine.
pub(crate) fn postmaster(backend: u32) -> Option<u32> {
    let stat = Stat::read(backend).filter(|stat| stat.name.starts_with("postgres"))?;
    Stat::read(stat.parent).filter(|stat| stat.name.starts_with("postgres")).map(|_| stat.parent)
}

/// The time of a process, of its children and of those of its children that have ended.
fn family(parent: u32) -> Option<Duration> {
    let first = Stat::read(parent)?;
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter_map(Stat::read).filter(|stat| stat.parent == parent).map(|stat| stat.own);
    Some(children.sum::<Duration>() + first.own + first.ended_children)
}

/// Some fields of `/proc/<pid>/stat`.
struct Stat {
    name: String,
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

impl Stat {
    fn read(process: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name stands in parentheses and may hold any character.
        let (before, after) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        // After the name: state, parent, …; user and system time are the 12th and 13th, those of children follow.
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok().map(|ticks| TICK * ticks);
        Some(Self {
            name: name.to_owned(),
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel() {
        let line = "42 (a) b) S 7 42 42 0 -1 4194560 1 2 3 4 150 50 20 10 20 0 8 0 100 1000 5 184 1";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.name.as_str(), stat.parent), ("a) b", 7));
        assert_eq!((stat.own, stat.ended_children), (Duration::from_secs(2), Duration::from_millis(300)));
        assert!(Stat::parse("").is_none());
    }
}
