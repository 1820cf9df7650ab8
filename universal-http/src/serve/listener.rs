//! Accepts connections, serves each in its own task, and stops them together.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use super::{
    activity::{Activity, Busy},
    leftover::Leftover,
    options::ServeOptions,
    per_address::{Counted, PerAddress},
    timed_io::TimedIo,
};
use crate::{
    body::{BoxError, RequestBody},
    middleware::catch_panic::said,
    patience::{HangUp, TakeWithin, too_slow},
};

/// How long connections are accepted after the stop: those that the kernel has taken already.
const LAST_CALL: Duration = Duration::from_millis(50);
/// How long a connection that is told to stop waits for a request that may be on its way. Whoever has just sent one on an
/// idle connection would else lose it.
const LINGER: Duration = Duration::from_millis(500);

/// The address of the other end of the connection, in the extensions of every request that [`serve`] passes on. Behind
/// a proxy it is the proxy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Whether every request was answered before the drain was over.
    pub drained: bool,
}

/// Serves `service` on `listener` until `shutdown` resolves; then accepts no more, lets what is being answered go on for
/// at most [`ServeOptions::drain`], and closes what is left.
///
/// Upgraded connections (WebSockets) belong to whoever upgraded them: [`crate::Api::close`] ends ours.
pub async fn serve<S, R>(
    listener: TcpListener,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Served
where
    S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    widen(&listener, options.backlog);
    let house = House {
        options: Arc::new(options),
        tasks: TaskTracker::new(),
        stop: CancellationToken::new(),
        kill: CancellationToken::new(),
    };
    let slots = Arc::new(Semaphore::new(house.options.connections.min(Semaphore::MAX_PERMITS)));
    let addresses = PerAddress::default();
    tokio::pin!(shutdown);
    loop {
        let next = async {
            // The permit first: connections beyond the limit wait in the kernel's queue.
            let permit = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((permit, stream, peer))
        };
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((permit, stream, peer)) => {
                let Some(counted) = addresses.admit(peer.ip(), house.options.connections_per_address) else {
                    tracing::debug!(%peer, "connection refused: too many from this address");
                    continue;
                };
                house.open(stream, peer, service.clone(), (permit, counted));
            }
            Err(error) => {
                let Some(pause) = pause_after(&error) else { continue };
                // Without a pause, "too many open files" would make this a busy loop.
                tracing::warn!(%error, "cannot accept connections, trying again");
                tokio::select! {
                    () = &mut shutdown => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    // Whoever has connected by now has perhaps asked already; closing the listener would cut them off.
    let (last, callers, listening) = (&house, &addresses, &listener);
    let last_call = async move {
        loop {
            let Ok(permit) = Arc::clone(&slots).acquire_owned().await else { return };
            let Ok((stream, peer)) = listening.accept().await else { return };
            if let Some(counted) = callers.admit(peer.ip(), last.options.connections_per_address) {
                last.open(stream, peer, service.clone(), (permit, counted));
            }
        }
    };
    let _ = tokio::time::timeout(LAST_CALL, last_call).await;
    drop(listener);
    house.close().await
}

/// Gives a listener room for so many that wait to be accepted: to listen again says so, and changes nothing else
/// (listen(2)).
fn widen(listener: &TcpListener, backlog: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket2::SockRef::from(listener).listen(i32::try_from(backlog).unwrap_or(i32::MAX)) {
        tracing::warn!(%error, "no other number of connections may wait to be accepted than before");
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (listener, backlog);
}

/// The tasks of one listener.
#[derive(Clone)]
struct House {
    options: Arc<ServeOptions>,
    tasks: TaskTracker,
    stop: CancellationToken,
    kill: CancellationToken,
}

impl House {
    fn open<S, R>(&self, stream: TcpStream, peer: SocketAddr, service: S, held: (OwnedSemaphorePermit, Counted))
    where
        S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        let house = self.clone();
        self.tasks.spawn(async move {
            let connection = AssertUnwindSafe(house.connection(stream, peer, service, held)).catch_unwind();
            let ended = tokio::select! {
                ended = connection => ended,
                () = house.kill.cancelled() => return,
            };
            match ended {
                Ok(Ok(())) => {}
                // A client that goes away or is too slow is everyday business.
                Ok(Err(error)) => tracing::debug!(%peer, error = %error, "connection ended"),
                Err(panic) => {
                    tracing::error!(%peer, panic = said(panic.as_ref()), "a handler outside this crate panicked; its connection is closed");
                }
            }
        });
    }

    async fn connection<S, R>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        service: S,
        held: (OwnedSemaphorePermit, Counted),
    ) -> Result<(), BoxError>
    where
        S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError>,
    {
        // Answers are written whole; waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        // What goes to a client that reads nothing is better left where it is cheap: in the feed, or in a file.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(self.options.unsent)?;
        let activity = Arc::new(Activity::default());
        let io = TokioIo::new(TimedIo::new(stream, Arc::clone(&activity), &self.options, held));
        let (body_idle, tasks, stop) = (self.options.body_idle, self.tasks.clone(), self.stop.clone());
        let over = CancellationToken::new();
        let hang_up = over.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let (mut service, activity, tasks) = (service.clone(), Arc::clone(&activity), tasks.clone());
            let (stop, is_multiplexed) = (stop.clone(), request.version() == Version::HTTP_2);
            let hang_up = hang_up.clone();
            if is_multiplexed {
                activity.set_multiplexed();
            }
            let busy = activity.begin();
            async move {
                // Whoever asks before sending waits for our word, and has sent nothing that could be thrown away.
                let asks = request.headers().contains_key(header::EXPECT);
                let mut request = request.map(|body| match asks {
                    true => RequestBody::new(body, body_idle),
                    false => RequestBody::new(Leftover::new(body, tasks), body_idle),
                });
                request.extensions_mut().insert(PeerAddress(peer));
                request.extensions_mut().insert(HangUp(hang_up.clone()));
                poll_fn(|cx| service.poll_ready(cx)).await?;
                let mut response = service.call(request).await?;
                activity.set_take_within(response.extensions().get().map(|TakeWithin(time)| *time));
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    activity.set_upgraded();
                } else if stop.is_cancelled() && !is_multiplexed {
                    // The last answer on this connection; the next request must find another process.
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response.map(|body| until_sent(body, busy)))
            }
        });
        let builder = self.builder();
        let connection = builder.serve_connection_with_upgrades(io, service);
        tokio::pin!(connection);
        let served = async {
            tokio::select! {
                biased;
                result = connection.as_mut() => return result,
                () = self.stop.cancelled() => {}
            }
            tokio::select! {
                biased;
                result = connection.as_mut() => return result,
                () = tokio::time::sleep(LINGER) => connection.as_mut().graceful_shutdown(),
            }
            connection.await
        };
        tokio::select! {
            served = served => served,
            () = over.cancelled() => Err(too_slow().into()),
        }
    }

    fn builder(&self) -> auto::Builder<Executor> {
        let mut builder = auto::Builder::new(Executor(self.tasks.clone()));
        builder
            .http1()
            .timer(TokioTimer::new())
            // `TimedIo` tells the header from the rest between two requests; this limit cannot.
            .header_read_timeout(None)
            .max_buf_size(64 * 1024);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(25))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(100)
            .max_header_list_size(16 * 1024);
        builder
    }

    async fn close(self) -> Served {
        self.stop.cancel();
        self.tasks.close();
        let drained = tokio::time::timeout(self.options.drain, self.tasks.wait()).await.is_ok();
        if !drained {
            tracing::warn!("the drain is over, closing what is still being answered");
            self.kill.cancel();
            // Everything that this ends ends at once; a task that does not is left to the runtime.
            let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
        }
        Served { drained }
    }
}

/// HTTP/2 runs its streams in tasks: these belong to the listener too.
#[derive(Clone)]
struct Executor(TaskTracker);

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// The same body; `busy` goes when it does.
fn until_sent<R>(body: R, busy: Busy) -> impl Body<Data = Bytes, Error = BoxError> + Send + 'static
where
    R: Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    body.map_err(move |error| {
        let _ = &busy;
        error.into()
    })
}

/// How long to wait after a failed `accept`; not at all if only that connection failed.
fn pause_after(error: &io::Error) -> Option<Duration> {
    match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => None,
        _ => Some(Duration::from_millis(200)),
    }
}
