//! Running a function.

use std::{str::FromStr, sync::Arc, time::Duration};

use http::{StatusCode, header};
use serde_json::Value;
use universal_core::{
    error::{Error, Result},
    jobs::{Enqueue, FunctionName, Job, Jobs, MAX_INPUT_BYTES, Ran},
    json::{self, Limits},
};

use super::wire;
use crate::{
    context::Context,
    extract::{json::require_media_type, query::Query},
    response::{self, Response},
};

/// The part of a request's time that waiting for a result may take.
const WAIT_SHARE: f64 = 0.8;

/// What the client waits for.
enum Mode {
    /// The result, for this long.
    Wait(Duration),
    /// That the job is queued.
    Queue,
}

/// `POST /functions/{name}/run`: the body is the function's input, nothing is `null`.
///
/// `?mode=wait` (the default) answers 200 with the result, or 202 with the job when the time is over (`?timeout=` seconds);
/// `?mode=queue` answers 202 with the job at once, which `?delay=` seconds, `?priority=`, `?max_attempts=` and `?unique_key=` describe.
pub(crate) async fn run(jobs: Arc<dyn Jobs>, mut cx: Context) -> Result<Response> {
    let mut query = cx.query()?;
    let mode = mode(&mut query, cx.state().limits.handling)?;
    let options = Options::take(&mut query)?;
    query.finish()?;
    let name = FunctionName::new(cx.param("name")?)?;
    let order = options.apply(Enqueue::new(name.as_str(), input(&mut cx).await?));
    match mode {
        Mode::Queue => {
            let job = jobs.enqueue(cx.caller(), order).await?;
            accepted(&cx, &job)
        }
        Mode::Wait(deadline) => match jobs.run(cx.caller(), order, deadline).await? {
            Ran::Finished { id, result } => response::json(StatusCode::OK, &wire::Finished::new(&id, &result)),
            Ran::Pending { job } => accepted(&cx, &job),
            _ => Err(Error::internal("an unknown outcome of a run")),
        },
    }
}

fn accepted(cx: &Context, job: &Job) -> Result<Response> {
    let mut response = response::json(StatusCode::ACCEPTED, &wire::Job::from(job))?;
    let link = response::header_value(&cx.link(&format!("/jobs/{}", job.id)))?;
    response.headers_mut().insert(header::LOCATION, link);
    Ok(response)
}

async fn input(cx: &mut Context) -> Result<Value> {
    let bytes = cx.bytes(MAX_INPUT_BYTES).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    require_media_type(cx.headers())?;
    json::parse(&bytes, &Limits::default().with_bytes(MAX_INPUT_BYTES))
}

fn mode(query: &mut Query, handling: Duration) -> Result<Mode> {
    let most = handling.mul_f64(WAIT_SHARE);
    let mode = query.take("mode");
    match mode.as_deref() {
        None | Some("wait") => Ok(Mode::Wait(seconds(query, "timeout", most)?.unwrap_or(most))),
        Some("queue") => Ok(Mode::Queue),
        Some(_) => Err(Error::invalid("invalid-mode", "`mode` must be `wait` or `queue`").with_field("mode")),
    }
}

/// How the job is queued.
struct Options {
    delay: Option<Duration>,
    priority: Option<i16>,
    max_attempts: Option<u32>,
    unique_key: Option<String>,
}

impl Options {
    fn take(query: &mut Query) -> Result<Self> {
        Ok(Self {
            delay: seconds(query, "delay", Duration::from_secs(366 * 86_400))?,
            priority: number(query, "priority", "a whole number from -32768 to 32767")?,
            max_attempts: number(query, "max_attempts", "a whole number from 1 to 100")?,
            unique_key: query.take("unique_key"),
        })
    }

    fn apply(self, mut order: Enqueue) -> Enqueue {
        if let Some(delay) = self.delay {
            order = order.with_delay(delay);
        }
        if let Some(priority) = self.priority {
            order = order.with_priority(priority);
        }
        if let Some(attempts) = self.max_attempts {
            order = order.with_max_attempts(attempts);
        }
        if let Some(key) = self.unique_key {
            order = order.with_unique_key(key);
        }
        order
    }
}

/// A number of seconds, with or without a fraction, up to `most`.
fn seconds(query: &mut Query, name: &'static str, most: Duration) -> Result<Option<Duration>> {
    let expected = format!("a number of seconds from 0 to {}", most.as_secs());
    let Some(number) = number::<f64>(query, name, &expected)? else { return Ok(None) };
    match Duration::try_from_secs_f64(number) {
        Ok(duration) if duration <= most => Ok(Some(duration)),
        _ => Err(unexpected(name, &expected)),
    }
}

fn number<T: FromStr>(query: &mut Query, name: &'static str, expected: &str) -> Result<Option<T>> {
    query.take(name).map(|text| text.parse().map_err(|_| unexpected(name, expected))).transpose()
}

fn unexpected(name: &'static str, expected: &str) -> Error {
    Error::invalid("invalid-parameter", format!("`{name}` must be {expected}")).with_field(name)
}
