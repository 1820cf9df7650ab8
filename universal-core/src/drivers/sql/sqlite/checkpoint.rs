//! Moving SQLite's log to its file beside the writer.
//!
//! What is committed stands in the log first (`-wal`); a checkpoint moves it to the file, and when all of it is there the
//! next write begins the log anew (<https://sqlite.org/wal.html#ckpt>). SQLite does that within the commit that makes the
//! log too long, so that one write in a few hundred waits for 16 MB. Here a thread of its own moves them while the writer
//! goes on, and the writer moves what was committed meanwhile, which is little, between two commits. The connection that
//! is lent to a host's transactions still does as SQLite does.

use std::{
    cell::Cell,
    fmt,
    sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel},
    thread::JoinHandle,
};

use crate::{
    drivers::sql::{
        error::from_sqlite,
        sqlite::connection::{CHECKPOINT, NativeConnection, Place},
        statement::column,
    },
    error::{Error, Result},
};

/// How many times as long the log may become before the writer waits for the thread.
const TOO_LONG: u32 = 4;
/// How many more pages are committed before the writer tries again: a reader of an older state kept the log from beginning
/// anew.
const AGAIN: u32 = 100;
/// How often the thread moves what was committed while it moved the rest. SQLite waits for the disk only in a move that
/// came to the end of the log, and whoever makes that move waits.
const PASSES: usize = 4;

thread_local! {
    /// How long the log was after the last commit of this thread.
    static PAGES: Cell<u32> = const { Cell::new(0) };
}

/// Has the commits of `connection`, and of its thread, tell how long the log is.
pub(super) fn watch(connection: &rusqlite::Connection) {
    connection.wal_hook(Some(|_, pages| {
        PAGES.set(u32::try_from(pages).unwrap_or(0));
        Ok(())
    }));
}

/// What the writer knows of the log, and the thread that moves it.
pub(super) struct Checkpointer {
    /// After how many pages it is moved.
    limit: u32,
    stage: Stage,
    /// How long it was at the last look.
    last: u32,
    own: Move,
    /// Asks the thread.
    ask: Option<SyncSender<()>>,
    /// The thread has done what it was asked for.
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// How far the log is on its way to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Short,
    /// The thread moves it.
    Asked,
    /// The writer moves the rest, when the log has so many pages.
    Rest(u32),
}

impl Checkpointer {
    /// Starts the thread for the file at `place`.
    ///
    /// # Errors
    /// The file cannot be opened, or the system gives no thread.
    pub(super) fn start(place: &Place) -> Result<Self> {
        Self::after(place, CHECKPOINT)
    }

    fn after(place: &Place, limit: u32) -> Result<Self> {
        let mut connection = NativeConnection::open_writer(place).map_err(from_sqlite)?;
        let ((ask, asked), (tell, done)) = (sync_channel(1), sync_channel(1));
        let thread = std::thread::Builder::new().name("sqlite-checkpoint".to_owned());
        let thread = thread.spawn(move || serve(&mut connection, &asked, &tell)).map_err(Error::internal)?;
        let (stage, last, own) = (Stage::Short, 0, Move::default());
        Ok(Self { limit, stage, last, own, ask: Some(ask), done, thread: Some(thread) })
    }

    /// Looks at the log between two commits of `writer`, on the writer's own thread.
    pub(super) fn look(&mut self, writer: &mut NativeConnection) {
        let pages = PAGES.get();
        let anew = pages < std::mem::replace(&mut self.last, pages);
        if anew && self.stage != Stage::Asked {
            self.stage = Stage::Short;
        }
        if self.stage == Stage::Short && pages >= self.limit {
            let asked = self.ask.as_ref().is_some_and(|ask| ask.try_send(()).is_ok());
            self.stage = if asked { Stage::Asked } else { Stage::Rest(pages) };
        }
        let too_long = pages >= self.limit.saturating_mul(TOO_LONG);
        if self.stage == Stage::Asked {
            // The writer's thread is its own: it may wait, as those must who write.
            let done =
                if too_long { self.done.recv().is_ok() } else { self.done.try_recv() != Err(TryRecvError::Empty) };
            if !done && !too_long {
                return;
            }
            self.stage = if pages < self.limit { Stage::Short } else { Stage::Rest(pages) };
        }
        if matches!(self.stage, Stage::Rest(from) if pages >= from || too_long) {
            self.own.make(writer);
            self.stage = Stage::Rest(pages.saturating_add(AGAIN));
        }
    }
}

impl Drop for Checkpointer {
    /// Waits for a move that has begun: whoever closes the database last takes the log away.
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer").field("limit", &self.limit).field("stage", &self.stage).finish_non_exhaustive()
    }
}

fn serve(connection: &mut NativeConnection, asked: &Receiver<()>, tell: &SyncSender<()>) {
    let mut own = Move::default();
    while asked.recv().is_ok() {
        let mut before = 0;
        for _ in 0..PASSES {
            let moved = own.make(connection);
            if moved.saturating_sub(before) < i64::from(AGAIN) && before > 0 {
                break;
            }
            before = moved;
        }
        if tell.send(()).is_err() {
            return;
        }
    }
}

/// Moves as much as no reader of an older state needs in its place.
#[derive(Debug, Default)]
struct Move {
    /// The last one failed, and was told of.
    failed: bool,
}

impl Move {
    /// How many pages of the log are in the file now; none where that is not known.
    fn make(&mut self, connection: &mut NativeConnection) -> i64 {
        let row = connection.one("PRAGMA wal_checkpoint(PASSIVE)", &[]);
        let moved = row.and_then(|row| row.map_or(Ok(0), |row| column::<i64>(&row, 2)));
        if let (Err(error), false) = (&moved, self.failed) {
            tracing::warn!(error = ?error, "the database's log cannot be moved to its file at the moment, and grows");
        }
        self.failed = moved.is_err();
        moved.unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 50;

    struct Rig {
        writer: NativeConnection,
        checkpointer: Checkpointer,
        place: Place,
        _folder: tempfile::TempDir,
    }

    impl Rig {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let place = Place { path: folder.path().join("x.sqlite"), synchronous: "OFF" };
            let file = rusqlite::Connection::open(&place.path).unwrap();
            file.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE x (body TEXT)").unwrap();
            let checkpointer = Checkpointer::after(&place, LIMIT).unwrap();
            let mut writer = NativeConnection::open_writer(&place).unwrap();
            writer.execute("INSERT INTO x VALUES ('first')", &[]).unwrap();
            Self { writer, checkpointer, place, _folder: folder }
        }

        /// A commit of three pages or four, and what follows it.
        fn write(&mut self) -> u32 {
            self.writer.begin().unwrap();
            self.writer.execute("INSERT INTO x VALUES (zeroblob(8000))", &[]).unwrap();
            self.writer.commit().unwrap();
            let pages = PAGES.get();
            self.checkpointer.look(&mut self.writer);
            pages
        }

        /// How often the log began anew in so many writes, and how long it became.
        fn write_many(&mut self, count: usize) -> (usize, u32) {
            let lengths: Vec<_> = (0..count).map(|_| self.write()).collect();
            let anew = lengths.windows(2).filter(|two| two[1] < two[0]).count();
            (anew, lengths.into_iter().max().unwrap_or(0))
        }
    }

    #[test]
    fn the_log_begins_anew_while_writes_go_on() {
        let mut rig = Rig::new();
        let (anew, longest) = rig.write_many(1_000);
        assert!(anew >= 3_000 / (LIMIT * TOO_LONG + 5) as usize, "{anew}");
        assert!(longest < LIMIT * TOO_LONG + 5, "the writer waited for the thread: {longest}");
    }

    #[test]
    fn the_thread_moves_it_and_is_asked_once() {
        let mut rig = Rig::new();
        while PAGES.get() < LIMIT {
            rig.write();
        }
        assert_eq!(rig.checkpointer.stage, Stage::Asked);
        rig.checkpointer.done.recv().unwrap();
        let before = PAGES.get();
        assert!(rig.write() < before, "all of it was in the file");
    }

    #[test]
    fn the_writer_moves_what_the_thread_left_when_that_is_done() {
        let mut rig = Rig::new();
        let ((ask, asked), (tell, done)) = (sync_channel(1), sync_channel(1));
        (rig.checkpointer.ask, rig.checkpointer.done) = (Some(ask), done);
        while PAGES.get() < LIMIT {
            rig.write();
        }
        let before = rig.write();
        assert_eq!((rig.checkpointer.stage, asked.try_iter().count()), (Stage::Asked, 1));
        tell.send(()).unwrap();
        assert!(rig.write() > before);
        assert!(matches!(rig.checkpointer.stage, Stage::Rest(_)), "{:?}", rig.checkpointer);
        assert!(rig.write() < before, "all of it was in the file");
        assert_eq!(rig.checkpointer.stage, Stage::Short);
    }

    #[test]
    fn a_log_that_begins_anew_with_a_long_commit_is_moved_too() {
        let mut rig = Rig::new();
        let many = format!("INSERT INTO x VALUES (zeroblob({}))", 4_096 * 2 * LIMIT);
        let lengths: Vec<_> = (0..100)
            .map(|_| {
                rig.writer.begin().unwrap();
                rig.writer.execute(&many, &[]).unwrap();
                rig.writer.commit().unwrap();
                rig.checkpointer.look(&mut rig.writer);
                PAGES.get()
            })
            .collect();
        assert!(lengths.iter().all(|pages| *pages < 7 * LIMIT), "{lengths:?}");
    }

    #[test]
    fn a_reader_of_an_older_state_keeps_the_log_and_its_end_lets_it_begin_anew() {
        let mut rig = Rig::new();
        let mut reader = NativeConnection::open_reader(&rig.place, || false).unwrap();
        reader.execute("BEGIN", &[]).unwrap();
        let count = |reader: &mut NativeConnection| {
            let row = reader.one("SELECT COUNT(*) FROM x", &[]).unwrap().unwrap();
            column::<i64>(&row, 0).unwrap()
        };
        assert_eq!(count(&mut reader), 1);
        let (anew, _) = rig.write_many(300);
        assert_eq!((anew, count(&mut reader)), (0, 1), "it reads on what it began with");
        reader.execute("COMMIT", &[]).unwrap();
        let (anew, _) = rig.write_many(300);
        assert!(anew > 0);
        assert_eq!(count(&mut reader), 601);
    }

    #[test]
    fn without_the_thread_the_writer_moves_all() {
        let mut rig = Rig::new();
        rig.checkpointer.ask = None;
        let (anew, longest) = rig.write_many(200);
        assert!(anew >= 8, "{anew}");
        assert!(longest < 2 * LIMIT, "{longest}");
    }
}
