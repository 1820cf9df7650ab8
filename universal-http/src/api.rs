//! From services to routes: [`Api`] and its builder.

use std::{fmt, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use universal_core::{
    auth::Auth,
    collections::Collections,
    error::{Error, Result},
    id::TenantId,
    jobs::Jobs,
    realtime::{Channels, Realtime},
    storage::Storage,
};

use crate::{
    lent::{Authenticator, MetricsSource, ReadyCheck},
    limits::Limits,
    metrics::Metrics,
    middleware::AuthLayer,
    route::Router,
    routes::{admin, auth, collections, jobs, operations, realtime, storage},
    service::ApiService,
    state::State,
};

/// The services of a backend as `tower` services. Cloning it is cheap.
#[derive(Clone)]
pub struct Api {
    state: Arc<State>,
    public: Arc<Router>,
    admin: Arc<Router>,
    operations: Arc<Router>,
    all: Arc<Router>,
}

impl Api {
    /// Begins with nothing lent: every service is optional, and its routes exist only if it is there.
    pub fn builder() -> ApiBuilder {
        ApiBuilder::default()
    }

    /// The routes for clients.
    #[must_use]
    pub fn public(&self) -> ApiService {
        ApiService::new(Arc::clone(&self.state), Arc::clone(&self.public))
    }

    /// The routes for administrators; a host may mount them where the internet cannot reach them.
    #[must_use]
    pub fn admin(&self) -> ApiService {
        ApiService::new(Arc::clone(&self.state), Arc::clone(&self.admin))
    }

    /// `/healthz`, `/readyz` and `/metrics`, without authentication: mount them where only the operator can reach them.
    #[must_use]
    pub fn operations(&self) -> ApiService {
        ApiService::new(Arc::clone(&self.state), Arc::clone(&self.operations))
    }

    /// All three in one, as the example server mounts them.
    #[must_use]
    pub fn all(&self) -> ApiService {
        ApiService::new(Arc::clone(&self.state), Arc::clone(&self.all))
    }

    /// A layer that guards a host's own routes with the accounts of this `Api`.
    #[must_use]
    pub fn auth_layer(&self) -> AuthLayer {
        AuthLayer::new(Arc::clone(&self.state))
    }

    /// Ends the open realtime connections, each with a word to its client, and takes no new ones. Call it when the
    /// process stops, before the listener drains: a stream would otherwise keep the drain waiting.
    pub fn close(&self) {
        self.state.closing.cancel();
        self.state.tasks.close();
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Waits until every connection that [`Api::close`] ended is gone.
    pub async fn closed(&self) {
        self.state.tasks.wait().await;
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("state", &self.state).finish_non_exhaustive()
    }
}

/// What an [`Api`] is made of.
#[derive(Clone, Default)]
#[must_use]
pub struct ApiBuilder {
    auth: Option<Arc<dyn Auth>>,
    collections: Option<Arc<dyn Collections>>,
    jobs: Option<Arc<dyn Jobs>>,
    realtime: Option<Arc<dyn Realtime>>,
    channels: Option<Arc<dyn Channels>>,
    storage: Option<Arc<dyn Storage>>,
    authenticator: Option<Arc<dyn Authenticator>>,
    ready: Option<Arc<dyn ReadyCheck>>,
    sources: Vec<Arc<dyn MetricsSource>>,
    prefix: String,
    public_url: Option<String>,
    limits: Option<Limits>,
}

impl ApiBuilder {
    /// Lends the accounts: `/auth`, and what a bearer token means on every route.
    pub fn auth(mut self, service: Arc<dyn Auth>) -> Self {
        self.auth = Some(service);
        self
    }

    /// Lends the documents: `/db`.
    pub fn collections(mut self, service: Arc<dyn Collections>) -> Self {
        self.collections = Some(service);
        self
    }

    /// Lends the functions and their jobs: `/functions` and `/jobs`.
    pub fn jobs(mut self, service: Arc<dyn Jobs>) -> Self {
        self.jobs = Some(service);
        self
    }

    /// Lends the change feed: `/realtime`, `/realtime/sse` and `/socket.io/`.
    pub fn realtime(mut self, service: Arc<dyn Realtime>) -> Self {
        self.realtime = Some(service);
        self
    }

    /// Lends the channels, which the sockets of [`realtime`](Self::realtime) join, and `/admin/channels`.
    pub fn channels(mut self, service: Arc<dyn Channels>) -> Self {
        self.channels = Some(service);
        self
    }

    /// Lends the files: `/storage`.
    pub fn storage(mut self, service: Arc<dyn Storage>) -> Self {
        self.storage = Some(service);
        self
    }

    /// Lends the host's own way to know who asks.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = Some(authenticator);
        self
    }

    /// Lends what `/readyz` asks; without it, a running process is ready.
    pub fn ready(mut self, check: Arc<dyn ReadyCheck>) -> Self {
        self.ready = Some(check);
        self
    }

    /// Adds lines to `/metrics`.
    pub fn metrics(mut self, source: Arc<dyn MetricsSource>) -> Self {
        self.sources.push(source);
        self
    }

    /// The path under which the service is mounted, for servers that do not strip it (plain hyper): `/backend`.
    /// Behind axum's `nest_service`, which strips it, leave it out.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The address under which clients reach the service, mount path included: `https://example.org/backend`. Links in
    /// answers begin with it; without it they begin with the prefix.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Other limits than [`Limits::default`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = Some(limits);
        self
    }

    /// Binds the route tables to the services.
    ///
    /// # Errors
    /// `Invalid` for a prefix or a public URL that is none.
    pub fn build(self) -> Result<Api> {
        let state = Arc::new(State {
            default_tenant: TenantId::default_tenant(),
            limits: self.limits.clone().unwrap_or_default(),
            prefix: checked_prefix(&self.prefix)?,
            public_url: self.public_url.as_deref().map(checked_url).transpose()?,
            auth: self.auth.clone(),
            channels: self.channels.clone(),
            authenticator: self.authenticator.clone(),
            metrics: Metrics::new(self.sources.clone()),
            connections: Default::default(),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        #[cfg(feature = "socketio")]
        let sockets =
            self.realtime.clone().map(|service| Arc::new(realtime::socketio::Sockets::new(service, &state.limits)));
        let router = |parts: &[Part]| -> Result<Arc<Router>> {
            let mut router = Router::default();
            for part in parts {
                self.mount(*part, &mut router)?;
                #[cfg(feature = "socketio")]
                if let (Part::Public, Some(sockets)) = (part, &sockets) {
                    router.mount(realtime::socketio::ROUTES, sockets)?;
                }
            }
            Ok(Arc::new(router))
        };
        Ok(Api {
            public: router(&[Part::Public])?,
            admin: router(&[Part::Admin])?,
            operations: router(&[Part::Operations])?,
            all: router(&[Part::Public, Part::Admin, Part::Operations])?,
            state,
        })
    }

    /// Every table, each on its side, if its service was lent.
    fn mount(&self, part: Part, router: &mut Router) -> Result<()> {
        match part {
            Part::Public => {
                if let Some(auth) = &self.auth {
                    router.mount(auth::ROUTES, auth)?;
                }
                if let Some(collections) = &self.collections {
                    router.mount(collections::ROUTES, collections)?;
                }
                if let Some(jobs) = &self.jobs {
                    router.mount(jobs::ROUTES, jobs)?;
                }
                if let Some(realtime) = &self.realtime {
                    router.mount(realtime::ROUTES, realtime)?;
                }
                if let Some(storage) = &self.storage {
                    router.mount(storage::ROUTES, storage)?;
                }
            }
            Part::Admin => {
                if let Some(collections) = &self.collections {
                    router.mount(admin::COLLECTIONS, collections)?;
                }
                if let Some(channels) = &self.channels {
                    router.mount(admin::CHANNELS, channels)?;
                }
            }
            Part::Operations => {
                router.mount(operations::ROUTES, &Arc::new(operations::Checks::new(self.ready.clone())))?
            }
        }
        Ok(())
    }
}

impl fmt::Debug for ApiBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiBuilder").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The services an [`Api`] gives.
#[derive(Clone, Copy, Debug)]
enum Part {
    Public,
    Admin,
    Operations,
}

fn checked_prefix(prefix: &str) -> Result<String> {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~".contains(&b);
    if prefix.is_empty() || (prefix.starts_with('/') && !prefix.contains("//") && prefix.bytes().all(plain)) {
        return Ok(prefix.to_owned());
    }
    Err(Error::invalid("invalid-prefix", "a prefix is a path such as `/backend`, without escapes").with_field("prefix"))
}

fn checked_url(url: &str) -> Result<String> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let good = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && uri.query().is_none()
    });
    if good && !url.contains('#') {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(Error::invalid("invalid-public-url", "a public URL is `https://host[:port][/path]`").with_field("public_url"))
}
