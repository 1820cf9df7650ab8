//! Batches: lock everything in one order, then one operation after the other.

use std::collections::HashMap;

use crate::{
    collections::{
        batch::{Batch, BatchOperation, BatchResult, BatchResults},
        decide::{self, Decided},
        write::Written,
    },
    drivers::sql::{
        collections::{creations, perform::Performance, write},
        dialect::Dialect,
        statement::column,
        write::Write,
    },
    error::{Error, Result},
};

/// Which there are of a list of `[collection, id]`, in their order. The text is one parameter, so that the
/// statement is the same for any number of them.
const LOCK: &str = "SELECT d.collection, d.id FROM jsonb_array_elements($2::text::jsonb) AS wanted (key)
    JOIN universal_documents d ON d.tenant_id = $1
        AND d.collection = (wanted.key ->> 0) COLLATE \"C\" AND d.id = (wanted.key ->> 1) COLLATE \"C\"
    ORDER BY d.collection, d.id FOR UPDATE OF d";

/// Does the operations of `batch` inside `write`'s transaction, which is rolled back if one fails.
pub(super) async fn perform(write: &mut Write<'_>, by: &Performance<'_>, batch: &Batch) -> Result<Vec<BatchResult>> {
    batch.check_size()?;
    let mut stored = lock(write, by, batch).await?;
    let mut results = BatchResults::default();
    for (index, operation) in batch.operations().iter().enumerate() {
        let done = match stored.remove(&index) {
            Some(decided) => complete(write, by, decided).await,
            None => one(write, by, operation).await,
        };
        let done = done.and_then(|result| results.push(result));
        done.map_err(|error| batch.failed_at(index, error))?;
    }
    Ok(results.into_vec())
}

/// Locks what the operations are about, and answers what is stored of new documents already, by their operation. SQLite's
/// writer is alone anyway; a single document has no order.
async fn lock<'b>(
    write: &mut Write<'_>,
    by: &Performance<'_>,
    batch: &'b Batch,
) -> Result<HashMap<usize, Decided<'b>>> {
    let keys = batch.keys();
    if write.dialect() == Dialect::Sqlite || keys.len() < 2 {
        return Ok(HashMap::new());
    }
    let keys: Vec<_> = keys.iter().map(|(collection, id)| (collection.as_str(), id.as_str())).collect();
    let keys = serde_json::to_string(&keys).map_err(Error::internal)?;
    let rows = write.all(LOCK, vec![by.caller.tenant().as_str().into(), keys.into()]).await?;
    let there: Result<_> = rows.iter().map(|row| Ok((column(row, 0)?, column(row, 1)?))).collect();
    creations::store_rows(write, by, batch, &there?).await
}

/// Comes to an operation whose document has its row already.
async fn complete(write: &mut Write<'_>, by: &Performance<'_>, decided: Decided<'_>) -> Result<BatchResult> {
    let author = by.author(&decided.document.collection)?;
    let created = write::complete(write, author, decided).await?;
    author.known.configured.shown(by.caller, created).map(|created| BatchResult::Written(Written::Created(created)))
}

async fn one(write: &mut Write<'_>, by: &Performance<'_>, operation: &BatchOperation) -> Result<BatchResult> {
    let author = by.author(operation.collection())?;
    match operation {
        BatchOperation::Write(operation) => write::apply(write, author, operation).await.map(BatchResult::Written),
        BatchOperation::Get { collection, id, precondition } => {
            let current = write.lock_document(by.caller.tenant(), collection, id).await?;
            decide::read_if(&author.writing(), current, precondition).map(BatchResult::Read)
        }
        BatchOperation::Check { collection, id, precondition } => {
            let current = write.lock_document(by.caller.tenant(), collection, id).await?;
            decide::check(&author.writing(), current.as_ref(), precondition).map(BatchResult::Checked)
        }
    }
}
