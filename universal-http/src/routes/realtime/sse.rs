//! Server-sent events: one subscription as a response that goes on.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{FutureExt as _, stream::unfold};
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::{sync::mpsc, time::timeout};
use universal_core::{
    error::{Error, ErrorKind, Result},
    realtime::Realtime,
};

use super::{
    connection::{Connection, End},
    frame::{ServerFrame, split_event_id},
    ticket,
    wanted::Wanted,
};
use crate::{
    body::{BodyError, ResponseBody},
    context::Context,
    middleware::catch_panic::said as panic_said,
    response::{self, Response},
};

/// `GET /realtime/sse?collection=&id=&filter=&since=&watch=&basis=&ticket=`; `Last-Event-ID`, which a browser sends when it comes back, is
/// newer than `since` and stands over it.
pub(super) async fn stream(service: Arc<dyn Realtime>, mut cx: Context) -> Result<Response> {
    let mut query = cx.query()?;
    let collection = query.take("collection").ok_or_else(|| {
        Error::invalid("missing-parameter", "say which collection: `?collection=todos`").with_field("collection")
    })?;
    let (id, filter, since) = (query.take("id"), query.take("filter"), query.take("since"));
    let watches = watches(query.take("watch").as_deref())?;
    let (basis, ticket) = (query.take("basis"), query.take("ticket"));
    query.finish()?;
    if let Some(ticket) = ticket {
        let stream = format!("{collection} {id:?} {filter:?} {watches}");
        ticket::redeem(&mut cx, &ticket, &stream).await?;
    }
    let last = last_event_id(&cx)?;
    let (since, basis) = match last.as_deref() {
        Some(last) => {
            let (cursor, basis) = split_event_id(last);
            (Some(cursor), basis)
        }
        None => (since.as_deref(), basis.as_deref()),
    };
    let mut wanted = Wanted::parse(&collection, id.as_deref(), filter.as_deref(), since)?;
    if watches {
        wanted = wanted.watched(basis);
    }
    let mut connection = Connection::new(service, &cx, "sse")?;
    let subscribed = connection.subscribe("".into(), wanted).await?;
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = ResponseBody::stream(events(&cx, connection, subscribed));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx would otherwise collect events until a buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// What the stream is given.
enum Said {
    Event(Bytes),
    /// It ends after this one.
    Last(Bytes),
}

/// The stream. A task of its own tells the events: a client that takes none of them is given up in time, although nobody
/// asks the stream for the next one then. What ends without a last word has broken off.
fn events(
    cx: &Context,
    connection: Connection,
    subscribed: ServerFrame,
) -> impl Stream<Item = Result<Bytes, BodyError>> + Send + use<> {
    let (said, heard) = mpsc::channel(1);
    let (state, request_id) = (Arc::clone(cx.state()), Arc::clone(cx.request_id()));
    let reading = state.limits.reading;
    cx.state().tasks.spawn(async move {
        let life = tell(connection, subscribed, (said, reading));
        if let Err(panic) = AssertUnwindSafe(life).catch_unwind().await {
            state.metrics.panicked();
            tracing::error!(request.id = %request_id, panic = panic_said(panic.as_ref()), "a connection's task panicked");
        }
    });
    unfold(Some(heard), |heard| async move {
        let mut heard = heard?;
        match heard.recv().await {
            Some(Said::Event(event)) => Some((Ok(event), Some(heard))),
            Some(Said::Last(event)) => Some((Ok(event), None)),
            None => Some((Err(BodyError::broken("the client was too slow")), None)),
        }
    })
}

/// `subscribed`, then what comes, then `closed` with the reason. Over when the client is gone, or takes nothing for a while.
async fn tell(mut connection: Connection, subscribed: ServerFrame, (said, reading): (mpsc::Sender<Said>, Duration)) {
    let mut next = Said::Event(Bytes::from(subscribed.to_event()));
    loop {
        let is_last = matches!(next, Said::Last(_));
        if !matches!(timeout(reading, said.send(next)).await, Ok(Ok(()))) || is_last {
            return;
        }
        next = tokio::select! {
            biased;
            () = said.closed() => return,
            frame = connection.next() => event(frame),
        };
    }
}

fn event(frame: Result<ServerFrame, End>) -> Said {
    let last = |frame: &ServerFrame| Said::Last(Bytes::from(frame.to_event()));
    match frame {
        // The only subscription has failed: so has the stream.
        Ok(frame @ ServerFrame::Error { .. }) => last(&frame),
        Ok(frame) => Said::Event(Bytes::from(frame.to_event())),
        Err(End::Unauthenticated(error) | End::TooMany(error)) => last(&ServerFrame::error(None, &error)),
        Err(End::Stopping) => {
            let error = Error::new(ErrorKind::Unavailable, "stopping", "this process is stopping; connect again");
            last(&ServerFrame::error(None, &error))
        }
    }
}

fn watches(text: Option<&str>) -> Result<bool> {
    match text {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::invalid("invalid-parameter", "`watch` is true or false").with_field("watch")),
    }
}

fn last_event_id(cx: &Context) -> Result<Option<String>> {
    match cx.headers().get("last-event-id") {
        None => Ok(None),
        Some(value) => match value.to_str() {
            Ok("") => Ok(None),
            Ok(text) => Ok(Some(text.to_owned())),
            Err(_) => Err(Error::invalid("invalid-cursor", "Last-Event-ID is the id of an event, unchanged")
                .with_field("Last-Event-ID")),
        },
    }
}
