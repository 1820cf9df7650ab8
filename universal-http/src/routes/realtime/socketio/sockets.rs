//! The Socket.IO server of one `Api`: the engine, and the sessions that stand by polling.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Full};
use socketioxide::{ParserConfig, SocketIo, handler::ConnectHandler as _, service::SocketIoService};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
};
use tower_service::Service;
use universal_core::{
    error::{Error, ErrorKind, Result},
    realtime::Realtime,
};

use super::{
    flow::QUEUE,
    life,
    session::{Held, Session},
};
use crate::{
    body::{RequestBody, ResponseBody},
    context::Context,
    limits::Limits,
    middleware::{authenticate::authenticate, origin},
    response::Response,
};

/// How long a connection has to say why it ends before its session is ended.
const GRACE: Duration = Duration::from_secs(3);

/// The path that the engine knows; that of the request is the host's matter.
const PATH: &str = "/socket.io/";

/// The Socket.IO server.
pub(crate) struct Sockets {
    realtime: Arc<dyn Realtime>,
    engine: SocketIoService<Nothing>,
    /// Sessions that were opened by polling. Those of a WebSocket end with it.
    polling: Mutex<HashMap<String, Weak<Session>>>,
    places: Arc<Semaphore>,
}

impl Sockets {
    pub(crate) fn new(realtime: Arc<dyn Realtime>, limits: &Limits) -> Self {
        let (engine, io) = SocketIo::builder()
            .req_path(PATH)
            .ping_interval(limits.ping)
            .ping_timeout(limits.ping_timeout)
            .connect_timeout(limits.first_subscription)
            .max_payload(u64::try_from(limits.frame).unwrap_or(u64::MAX))
            .max_buffer_size(QUEUE)
            .ws_max_message_size(limits.frame)
            .ws_max_frame_size(limits.frame)
            .with_parser(ParserConfig::common().max_incoming_binaries(0).max_incoming_binary_buf_size(0))
            .build_with_inner_svc(Nothing);
        // The one namespace; all others are refused.
        io.ns("/", life::begin.with(life::admit));
        Self {
            realtime,
            engine,
            polling: Mutex::default(),
            places: Arc::new(Semaphore::new(limits.socketio_sessions.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// A session for the caller of this request.
    ///
    /// # Errors
    /// `Unauthenticated` for credentials that are not valid, `Forbidden` for a foreign page, `Unavailable` while stopping,
    /// `Busy` when there are too many.
    pub(super) async fn open(self: &Arc<Self>, cx: &mut Context) -> Result<Arc<Held>> {
        let state = Arc::clone(cx.state());
        let (caller, token) = authenticate(&state, cx.head_mut()).await?;
        cx.set_caller(caller, token);
        origin::check(cx)?;
        if state.closing.is_cancelled() {
            return Err(stopping());
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            Error::new(
                ErrorKind::Busy,
                "too-many-sessions",
                "too many Socket.IO sessions are open here; try again later",
            )
        })?;
        // Of the request nothing is kept but who asked.
        let (head, _) = Request::new(()).into_parts();
        let body = RequestBody::new(Empty::<Bytes>::new(), state.limits.body_idle);
        let mut opened = Context::new(head, body, Vec::new(), Arc::clone(cx.request_id()), state);
        opened.set_caller(cx.caller().clone(), cx.token().cloned());
        let session = Session::new(Arc::clone(&self.realtime), Arc::downgrade(self), opened);
        Ok(Arc::new(Held::new(Arc::new(session), place)))
    }

    /// The session `sid`, if it was opened by polling.
    pub(super) fn session(&self, sid: &str) -> Option<Arc<Session>> {
        self.polling().get(sid).and_then(Weak::upgrade)
    }

    /// Keeps a session that was opened by polling until its end, or until the server stops.
    pub(super) fn keep(self: &Arc<Self>, sid: String, session: &Arc<Session>) {
        let _ = session.sid.set(sid.clone());
        self.polling().insert(sid.clone(), Arc::downgrade(session));
        let (sockets, state) = (Arc::clone(self), Arc::clone(session.cx.state()));
        let (ended, kept) = (session.ended.clone(), Arc::downgrade(session));
        session.cx.state().tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = state.closing.cancelled() => {
                    if kept.upgrade().is_some_and(|session| session.lives() > 0) {
                        let _ = tokio::time::timeout(GRACE, ended.cancelled()).await;
                    }
                    sockets.close(&sid).await;
                }
            }
            sockets.polling().remove(&sid);
        });
    }

    /// Says the engine's goodbye in the client's name; a session that is gone, or stands by a WebSocket by now, is left as it
    /// is.
    pub(super) async fn close(&self, sid: &str) {
        self.exchange(Method::POST, Some(sid), Bytes::from_static(b"1"), None).await;
    }

    /// One request of the polling transport.
    pub(super) async fn exchange(
        &self,
        method: Method,
        sid: Option<&str>,
        body: Bytes,
        held: Option<Arc<Held>>,
    ) -> (StatusCode, Bytes) {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri("polling", sid);
        if let Some(held) = held {
            request.extensions_mut().insert(held);
        }
        let Ok(answer) = self.engine.clone().call(request).await;
        let (head, body) = answer.into_parts();
        // The body is there already.
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        (head.status, body)
    }

    /// Gives the engine a WebSocket. It runs in a task of the engine's until its end.
    pub(super) fn websocket<S>(&self, io: S, sid: Option<&str>, held: Option<Arc<Held>>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut request = Request::new(());
        *request.uri_mut() = uri("websocket", sid);
        if let Some(held) = held {
            request.extensions_mut().insert(held);
        }
        // The address is one that the engine understands; if it did not, the stream is dropped.
        drop(self.engine.clone().call((io, request)));
    }

    fn polling(&self) -> MutexGuard<'_, HashMap<String, Weak<Session>>> {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("polling", &self.polling().len()).finish_non_exhaustive()
    }
}

/// The answer to a poll or a post.
pub(super) fn answer(status: StatusCode, body: Bytes) -> Response {
    let mut response = Response::new(ResponseBody::full(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) fn stopping() -> Error {
    Error::new(ErrorKind::Unavailable, "stopping", "this process is stopping; connect again")
}

/// The address of a request to the engine. `sid` has the form of one.
fn uri(transport: &str, sid: Option<&str>) -> http::Uri {
    let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
    format!("{PATH}?EIO=4&transport={transport}{sid}").parse().unwrap_or_default()
}

/// What answers where the engine does not: every request that comes here is the engine's.
#[derive(Clone, Debug)]
struct Nothing;

impl Service<Request<Full<Bytes>>> for Nothing {
    type Response = http::Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        let mut response = http::Response::new(Empty::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        ready(Ok(response))
    }
}
