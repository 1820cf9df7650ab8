//! Server-sent events: one subscription as a response that goes on.

use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use futures_util::stream::unfold;
use http::{HeaderName, HeaderValue, StatusCode, header};
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
    let subscribed = connection.subscribe(String::new(), wanted).await?;
    let mut response = response::empty(StatusCode::OK);
    *response.body_mut() = ResponseBody::stream(events(connection, subscribed));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx would otherwise collect events until a buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The stream: `subscribed`, then what comes, then `closed` with the reason.
fn events(connection: Connection, subscribed: ServerFrame) -> impl Stream<Item = Result<Bytes, BodyError>> + Send {
    let first = futures_util::stream::once(async move { Ok(Bytes::from(subscribed.to_event())) });
    let rest = unfold(Some(connection), |connection| async move {
        let mut connection = connection?;
        match connection.next().await {
            // The only subscription has failed: so has the stream.
            Ok(frame @ ServerFrame::Error { .. }) => Some((Ok(Bytes::from(frame.to_event())), None)),
            Ok(frame) => Some((Ok(Bytes::from(frame.to_event())), Some(connection))),
            Err(End::Unauthenticated(error) | End::TooMany(error)) => {
                Some((Ok(Bytes::from(ServerFrame::error(None, &error).to_event())), None))
            }
            Err(End::Stopping) => {
                let error = Error::new(ErrorKind::Unavailable, "stopping", "this process is stopping; connect again");
                Some((Ok(Bytes::from(ServerFrame::error(None, &error).to_event())), None))
            }
        }
    });
    futures_util::StreamExt::chain(first, rest)
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
