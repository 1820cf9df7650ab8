//! Lines of an import, kept in a temporary file until all have come.

use bytes::Bytes;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _, BufReader, BufWriter},
};

use crate::error::{Error, ErrorKind, Result};

/// How many bytes are read at once: whoever reads holds a transaction open.
const READ: usize = 256 * 1024;

/// A file without a name, which goes away with its last handle, whatever ends the process.
#[derive(Debug)]
pub(super) struct Spool {
    file: BufWriter<File>,
}

/// The lines of a spool from its beginning.
#[derive(Debug)]
pub(super) struct Spooled {
    file: BufReader<File>,
}

impl Spool {
    /// An empty one, in the folder for temporary files of the operating system.
    pub(super) async fn new() -> Result<Self> {
        let file = tokio::task::spawn_blocking(tempfile::tempfile).await.map_err(Error::internal)?;
        Ok(Self { file: BufWriter::new(File::from_std(file.map_err(full)?)) })
    }

    /// Adds a line.
    pub(super) async fn push(&mut self, number: u64, text: &[u8]) -> Result<()> {
        let length = u32::try_from(text.len()).map_err(Error::internal)?;
        self.file.write_u64(number).await.map_err(full)?;
        self.file.write_u32(length).await.map_err(full)?;
        self.file.write_all(text).await.map_err(full)
    }

    /// The lines from the first. One reader at a time: they share their place in the file.
    pub(super) async fn read(&mut self) -> Result<Spooled> {
        self.file.flush().await.map_err(full)?;
        let mut file = self.file.get_ref().try_clone().await.map_err(full)?;
        file.rewind().await.map_err(full)?;
        Ok(Spooled { file: BufReader::with_capacity(READ, file) })
    }
}

impl Spooled {
    /// The next line with its number.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Bytes)>> {
        let number = match self.file.read_u64().await {
            Ok(number) => number,
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(full(error)),
        };
        let length = self.file.read_u32().await.map_err(full)?;
        let mut text = vec![0; usize::try_from(length).map_err(Error::internal)?];
        self.file.read_exact(&mut text).await.map_err(full)?;
        Ok(Some((number, text.into())))
    }
}

fn full(error: std::io::Error) -> Error {
    let message = "the lines cannot be kept in the folder for temporary files (TMPDIR); nothing was imported";
    Error::new(ErrorKind::Unavailable, "spool-unavailable", message).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_come_back_as_often_as_they_are_read() {
        let mut spool = Spool::new().await.unwrap();
        let long = vec![b'x'; 100_000];
        for (number, text) in [(1, b"{}".as_slice()), (3, b""), (4, &long)] {
            spool.push(number, text).await.unwrap();
        }
        for _ in 0..2 {
            let mut lines = spool.read().await.unwrap();
            let mut found = Vec::new();
            while let Some((number, text)) = lines.next().await.unwrap() {
                found.push((number, text.len()));
            }
            assert_eq!(found, [(1, 2), (3, 0), (4, 100_000)]);
        }
    }
}
