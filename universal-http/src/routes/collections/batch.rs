//! Several operations in one commit.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use universal_core::{
    collections::{BatchResult, Collections, Command, Document, Written},
    error::{Error, Result},
};

use super::{condition, perform::perform, wire};
use crate::{
    context::Context,
    error,
    response::{self, Response},
};

/// `POST /db`
pub(crate) async fn batch(service: Arc<dyn Collections>, mut cx: Context) -> Result<Response> {
    cx.no_query()?;
    condition::none(&cx, "each operation of a batch has conditions of its own, in the body")?;
    let limit = cx.state().limits.batch_body;
    let batch = wire::batch(&cx.json_bytes_within(limit).await?)?;
    let count = batch.operations().len();
    match perform(&service, &cx, Command::Batch(batch)).await {
        Ok(done) => done.answer(|outcome| Ok(response::json_text(StatusCode::OK, answer(&outcome.into_batch()?)))),
        Err(error) => match failed_operation(&error) {
            Some(index) => Ok(error::into_response_with(&error, cx.request_id(), Some(refused(&error, index, count)?))),
            None => Err(error),
        },
    }
}

/// What became of one operation of a batch that did not happen.
#[derive(Debug, Serialize)]
struct Refused<'a> {
    status: u16,
    code: &'a str,
}

/// One result for each operation: that of the one that failed, and that the others were not done.
fn refused(error: &Error, failed: usize, count: usize) -> Result<serde_json::Value> {
    let result = |index| match index == failed {
        true => Refused { status: error::status(error).as_u16(), code: error.code() },
        false => Refused { status: StatusCode::FAILED_DEPENDENCY.as_u16(), code: "not-done" },
    };
    serde_json::to_value((0..count).map(result).collect::<Vec<_>>()).map_err(Error::internal)
}

/// The operation that an error names, as the pointer `/operations/<index>…`.
fn failed_operation(error: &Error) -> Option<usize> {
    let rest = error.field()?.strip_prefix("/operations/")?;
    rest.split('/').next()?.parse().ok()
}

fn answer(results: &[BatchResult]) -> String {
    let bytes: usize = results.iter().filter_map(BatchResult::document).map(|document| document.body.len() + 300).sum();
    let mut text = String::with_capacity(bytes + 64);
    text.push_str("{\"results\":[");
    for (at, result) in results.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        match result {
            BatchResult::Written(Written::Created(document)) => shown(&mut text, StatusCode::CREATED, document),
            BatchResult::Written(Written::Updated(document)) | BatchResult::Read(document) => {
                shown(&mut text, StatusCode::OK, document);
            }
            BatchResult::Checked(Some(revision)) => {
                // Revisions are letters, digits and `-`, and need no escape.
                text.push_str(&format!("{{\"status\":204,\"revision\":\"{revision}\"}}"));
            }
            _ => text.push_str("{\"status\":204}"),
        }
    }
    text.push_str("]}");
    text
}

fn shown(text: &mut String, status: StatusCode, document: &Document) {
    text.push_str(&format!("{{\"status\":{},\"revision\":\"{}\",\"document\":", status.as_u16(), document.revision));
    document.write_json(text);
    text.push('}');
}
