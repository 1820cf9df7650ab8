//! Server-sent events: one subscription as a response that goes on.

use std::{
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Polling, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::FutureExt as _;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
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
#[cfg(feature = "serve")]
use crate::patience::{HangUp, TakeWithin};
use crate::{
    body::{BodyError, ResponseBody},
    context::Context,
    middleware::catch_panic::said as panic_said,
    patience::WHOLE,
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
    #[cfg(feature = "serve")]
    response.extensions_mut().insert(TakeWithin(cx.state().limits.reading));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    // nginx would otherwise collect events until a buffer is full.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

/// The largest piece of an event that goes out at once. A client shows with each piece that it takes something.
const PIECE: usize = 16 * 1024;
/// How long a client that must end may take for what it was given before.
const GOODBYE: Duration = Duration::from_secs(2);

/// What the stream is told.
struct Said {
    bytes: Bytes,
    /// It ends after these.
    is_last: bool,
}

/// One piece, between the task that tells and the stream. Either throws it away when the other has no use for it.
type Waiting = Arc<Mutex<mpsc::Receiver<Said>>>;

fn lock(waiting: &Waiting) -> MutexGuard<'_, mpsc::Receiver<Said>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

fn throw_away(waiting: &Waiting) {
    let mut waiting = lock(waiting);
    waiting.close();
    while waiting.try_recv().is_ok() {}
}

/// The stream. What ends without a last word has broken off.
struct Told {
    waiting: Waiting,
    over: bool,
    _dropped: DropGuard,
}

impl Stream for Told {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Polling<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let said = ready!(lock(&self.waiting).poll_recv(cx));
        self.over = said.as_ref().is_none_or(|said| said.is_last);
        Poll::Ready(Some(said.map(|said| said.bytes).ok_or_else(|| BodyError::broken("the client was too slow"))))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        throw_away(&self.waiting);
    }
}

/// The stream. A task of its own tells the events: a client that takes none of them is given up in time, although nobody
/// asks the stream for the next one then.
fn events(cx: &Context, connection: Connection, subscribed: ServerFrame) -> Told {
    let (said, heard) = mpsc::channel(1);
    let waiting = Arc::new(Mutex::new(heard));
    let dropped = CancellationToken::new();
    let told = Told { waiting: Arc::clone(&waiting), over: false, _dropped: dropped.clone().drop_guard() };
    let (state, request_id) = (Arc::clone(cx.state()), Arc::clone(cx.request_id()));
    let reading = state.limits.reading;
    #[cfg(feature = "serve")]
    let hang_up = cx.extension::<HangUp>().cloned();
    cx.state().tasks.spawn(async move {
        let life = async {
            let told = tell(connection, subscribed, (said, reading)).await;
            if matches!(told, Telling::Done | Telling::Left) {
                return;
            }
            throw_away(&waiting);
            // It breaks off when the client takes what is on its way, and other streams of its connection go on.
            let breaks_off = told == Telling::Late && timeout(reading, dropped.cancelled()).await.is_ok();
            #[cfg(feature = "serve")]
            if let Some(HangUp(connection)) = hang_up
                && !breaks_off
            {
                connection.cancel();
            }
            #[cfg(not(feature = "serve"))]
            let _ = breaks_off;
        };
        if let Err(panic) = AssertUnwindSafe(life).catch_unwind().await {
            state.metrics.panicked();
            tracing::error!(request.id = %request_id, panic = panic_said(panic.as_ref()), "a connection's task panicked");
        }
    });
    told
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// With a last word.
    Done,
    /// The client has left.
    Left,
    /// The client takes nothing, or not enough.
    Slow,
    /// It had to end while the client was busy with what it was given before.
    Late,
}

/// `subscribed`, then what comes, then `closed` with the reason.
async fn tell(
    mut connection: Connection,
    subscribed: ServerFrame,
    (said, reading): (mpsc::Sender<Said>, Duration),
) -> Telling {
    let mut next = Said { bytes: subscribed.to_event_bytes(), is_last: false };
    loop {
        let is_last = next.is_last;
        let mut end = None;
        let handed = {
            let mut handing = pin!(timeout(WHOLE, hand_over(next, &said, reading)));
            tokio::select! {
                biased;
                handed = &mut handing => handed,
                over = connection.over(), if !is_last => {
                    end = Some(over);
                    // One that must end does not wait for a slow client.
                    timeout(GOODBYE, handing).await.and_then(|handed| handed)
                }
            }
        };
        match handed {
            Ok(true) if is_last => return Telling::Done,
            Ok(true) => {}
            _ if said.is_closed() => return Telling::Left,
            _ if end.is_some() => return Telling::Late,
            _ => return Telling::Slow,
        }
        next = match end {
            Some(end) => event(Err(end)),
            None => tokio::select! {
                biased;
                () = said.closed() => return Telling::Left,
                frame = connection.next() => event(frame),
            },
        };
    }
}

/// Piece by piece, until the stream has taken all but the last one; the next event is not printed before it has taken that
/// one too.
async fn hand_over(Said { mut bytes, is_last }: Said, said: &mpsc::Sender<Said>, reading: Duration) -> bool {
    while !bytes.is_empty() {
        let Ok(Ok(room)) = timeout(reading, said.reserve()).await else { return false };
        let piece = bytes.split_to(bytes.len().min(PIECE));
        room.send(Said { bytes: piece, is_last: is_last && bytes.is_empty() });
    }
    // The stream may be dropped when it has taken the last one.
    timeout(reading, said.reserve()).await.is_ok_and(|room| is_last || room.is_ok())
}

fn event(frame: Result<ServerFrame, End>) -> Said {
    let said = |frame: &ServerFrame, is_last| Said { bytes: frame.to_event_bytes(), is_last };
    let last = |frame: &ServerFrame| said(frame, true);
    match frame {
        // The only subscription has failed: so has the stream.
        Ok(frame @ ServerFrame::Error { .. }) => last(&frame),
        Ok(frame) => said(&frame, false),
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
