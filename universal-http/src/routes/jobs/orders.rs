//! Looking at jobs and calling them off.

use std::sync::Arc;

use http::StatusCode;
use universal_core::{
    error::{Error, Result},
    id::UserId,
    jobs::{FunctionName, JobId, Jobs, ListJobs},
};

use super::wire;
use crate::{
    context::Context,
    extract::page,
    response::{self, Response},
};

/// `GET /jobs?state=&function=&owner=&limit=&cursor=`: newest first, without inputs and results.
pub(crate) async fn list(jobs: Arc<dyn Jobs>, cx: Context) -> Result<Response> {
    let mut query = cx.query()?;
    let mut list = ListJobs::new().with_limit(page::limit(&mut query)?);
    if let Some(state) = query.take("state") {
        list = list.with_state(state.parse()?);
    }
    if let Some(function) = query.take("function") {
        list = list.with_function(FunctionName::new(function)?);
    }
    if let Some(owner) = query.take("owner") {
        list = list.with_owner(UserId::new(owner).map_err(|error| error.with_field("owner"))?);
    }
    if let Some(cursor) = query.take("cursor").filter(|text| !text.is_empty()) {
        list = list.with_cursor(&cursor)?;
    }
    query.finish()?;
    let page = jobs.list(cx.caller(), list).await?;
    response::json(StatusCode::OK, &wire::Page::from(&page))
}

/// `GET /jobs/{id}`
pub(crate) async fn get(jobs: Arc<dyn Jobs>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let job = jobs.get(cx.caller(), &id(&cx)?).await?;
    response::json(StatusCode::OK, &wire::Job::from(&job))
}

/// `DELETE /jobs/{id}`: 200 with the job; one that runs is `running` with `cancel_requested` until its worker has stopped it.
pub(crate) async fn cancel(jobs: Arc<dyn Jobs>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let job = jobs.cancel(cx.caller(), &id(&cx)?).await?;
    response::json(StatusCode::OK, &wire::Job::from(&job))
}

/// `POST /jobs/{id}/retry`
pub(crate) async fn retry(jobs: Arc<dyn Jobs>, cx: Context) -> Result<Response> {
    cx.no_query()?;
    let job = jobs.retry(cx.caller(), &id(&cx)?).await?;
    response::json(StatusCode::OK, &wire::Job::from(&job))
}

/// What is no id is no job's id.
fn id(cx: &Context) -> Result<JobId> {
    JobId::new(cx.param("id")?)
        .map_err(|_| Error::not_found("job-not-found", "there is no such job, or it is not yours"))
}
