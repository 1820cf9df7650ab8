//! From bytes in the store to a stream that ends where it has to, or in an error.

#[cfg(feature = "fs")]
use std::io::{Read as _, Seek as _};
use std::ops::Range;

#[cfg(feature = "fs")]
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::{GetOptions, GetRange, GetResult, path::Path};

use crate::{
    drivers::blob::store::{BlobStore, from_store},
    error::{Error, Result},
    storage::ByteStream,
};

/// How much is read from a disk at a time.
#[cfg(feature = "fs")]
const CHUNK: u64 = 256 * 1024;

/// Opens the bytes at `path`, of which there have to be `size`. Nothing if there are none at all.
pub(super) async fn open(
    store: &BlobStore,
    path: &Path,
    size: u64,
    range: Option<Range<u64>>,
) -> Result<Option<ByteStream>> {
    let options = GetOptions { range: range.clone().map(GetRange::Bounded), ..GetOptions::default() };
    let got = match store.inner().get_opts(path, options).await {
        Ok(got) => got,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(from_store(error)),
    };
    if got.meta.size != size {
        return Err(damaged());
    }
    let wanted = range.map_or(size, |range| range.end.saturating_sub(range.start));
    Ok(Some(exactly(bytes_of(got), wanted)))
}

fn bytes_of(got: GetResult) -> ByteStream {
    #[cfg(feature = "fs")]
    let got = match got {
        GetResult { payload: object_store::GetResultPayload::File(file, _), range, .. } => {
            return file_stream(file, range);
        }
        other => other,
    };
    got.into_stream().map(|chunk| chunk.map_err(from_store)).boxed()
}

/// A file as a stream. The store's own reads 8 KiB at a time, a visit to another thread for each.
#[cfg(feature = "fs")]
fn file_stream(file: std::fs::File, range: Range<u64>) -> ByteStream {
    let failed =
        |error: std::io::Error| from_store(object_store::Error::Generic { store: "disk", source: Box::new(error) });
    stream::try_unfold((file, range), move |(mut file, range)| async move {
        if range.is_empty() {
            return Ok(None);
        }
        let read = tokio::task::spawn_blocking(move || {
            let wanted = CHUNK.min(range.end - range.start);
            let mut buffer = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
            file.seek(std::io::SeekFrom::Start(range.start))?;
            (&mut file).take(wanted).read_to_end(&mut buffer)?;
            let next = range.start.saturating_add(u64::try_from(buffer.len()).unwrap_or(u64::MAX));
            // A file that ends too early ends the stream; the counter behind this makes it an error.
            let rest = if buffer.is_empty() { range.end..range.end } else { next..range.end };
            Ok((Bytes::from(buffer), (file, rest)))
        });
        read.await.map_err(Error::internal)?.map(Some).map_err(failed)
    })
    .boxed()
}

/// The stream, with an error at its end if it gave fewer bytes or more: a reader who counts on the
/// length that was announced must not take a part for the whole.
fn exactly(content: ByteStream, wanted: u64) -> ByteStream {
    stream::try_unfold(Some((content, wanted)), |state| async move {
        let Some((mut content, left)) = state else { return Ok(None) };
        loop {
            let chunk = match content.next().await {
                Some(chunk) => chunk?,
                None if left == 0 => return Ok(None),
                None => return Err(damaged()),
            };
            let length = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let Some(left) = left.checked_sub(length) else { return Err(damaged()) };
            if length > 0 {
                // After the last byte nothing is asked of the store any more.
                return Ok(Some((chunk, (left > 0).then_some((content, left)))));
            }
        }
    })
    .boxed()
}

fn damaged() -> Error {
    Error::internal("the bytes of an object have another length than its row says")
}
