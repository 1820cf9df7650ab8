//! The backend under a path of a plain hyper server.

use std::{convert::Infallible, future::Future, io, pin::pin};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use universal_core::{Backend, Result};
use universal_http::{Api, ApiService, body::BoxError};

use crate::api;

/// Where the backend is.
pub const MOUNT: &str = "/backend";

/// The API for this server. hyper strips no path, so the API is told its prefix.
///
/// # Errors
/// None: the prefix is fixed.
pub fn mounted(backend: &Backend) -> Result<Api> {
    api::of(backend).prefix(MOUNT).build()
}

/// Serves on `listener` until `stop` resolves.
///
/// # Errors
/// The listener failed.
pub async fn serve(listener: TcpListener, api: &Api, stop: impl Future<Output = ()> + Send) -> io::Result<()> {
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted?,
            () = &mut stop => break,
        };
        let service = api.public();
        let service = service_fn(move |request| route(service.clone(), request));
        let mut server = auto::Builder::new(TokioExecutor::new());
        // Without a timer hyper waits for ever for a header that does not end.
        server.http1().timer(TokioTimer::new()).header_read_timeout(std::time::Duration::from_secs(10));
        // With upgrades, or there are no WebSockets.
        let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error, "connection ended");
            }
        });
    }
    api.close();
    graceful.shutdown().await;
    api.closed().await;
    Ok(())
}

/// The server's own pages, and the backend's below its path.
async fn route(
    api: ApiService,
    request: Request<Incoming>,
) -> Result<Response<UnsyncBoxBody<Bytes, BoxError>>, Infallible> {
    if request.uri().path().starts_with(MOUNT) {
        let response = api.oneshot(request).await?;
        return Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()));
    }
    let (status, text) = match request.uri().path() {
        "/" => (StatusCode::OK, "a page of the host's own\n"),
        _ => (StatusCode::NOT_FOUND, "the host knows no such page\n"),
    };
    let mut response =
        Response::new(Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    Ok(response)
}
