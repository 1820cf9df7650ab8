//! What is counted, in a registry of this `Api`'s own: no process-wide recorder.

use std::{fmt, sync::Arc, time::Duration};

use http::{Method, StatusCode};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::lent::MetricsSource;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TransportLabels {
    transport: &'static str,
}

/// The numbers of one `Api`. Labels come from the route tables, never from a request, so their count is bounded.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    panics: Counter,
    realtime: Family<TransportLabels, Gauge>,
    sources: Vec<Arc<dyn MetricsSource>>,
}

/// Half a millisecond to half a minute.
fn durations() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

impl Metrics {
    pub(crate) fn new(sources: Vec<Arc<dyn MetricsSource>>) -> Self {
        let mut registry = Registry::with_prefix("universal_http");
        let requests = Family::default();
        let durations = Family::new_with_constructor(durations as fn() -> Histogram);
        let (in_flight, panics, realtime) = (Gauge::default(), Counter::default(), Family::default());
        registry.register(
            "requests",
            "Requests answered, by route and status; 499: the client left first",
            requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "Time until the answer's head, by route",
            Unit::Seconds,
            durations.clone(),
        );
        registry.register("requests_in_flight", "Requests being handled now", in_flight.clone());
        registry.register("panics", "Handlers that panicked", panics.clone());
        registry.register("realtime_connections", "Open realtime connections", realtime.clone());
        Self { registry, requests, durations, in_flight, panics, realtime, sources }
    }

    /// Counts a request from now until it is finished or dropped.
    pub(crate) fn begin(&self, method: &Method, route: &'static str) -> InFlight<'_> {
        self.in_flight.inc();
        InFlight { metrics: self, method: label(method), route, since: tokio::time::Instant::now(), done: false }
    }

    pub(crate) fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts an open connection until the value is dropped.
    pub(crate) fn connected(&self, transport: &'static str) -> Connected {
        let gauge = self.realtime.get_or_create_owned(&TransportLabels { transport });
        gauge.inc();
        Connected(gauge)
    }

    /// All numbers in the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut out, &self.registry);
        if !self.sources.is_empty() {
            // The end mark belongs behind the last line of all.
            if let Some(kept) = out.strip_suffix("# EOF\n").map(str::len) {
                out.truncate(kept);
            }
            for source in &self.sources {
                source.write(&mut out);
                if !out.ends_with('\n') {
                    out.push('\n');
                }
            }
            out.push_str("# EOF\n");
        }
        out
    }

    fn finish(&self, method: &'static str, route: &'static str, status: u16, took: Duration) {
        self.in_flight.dec();
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
        self.durations.get_or_create(&RouteLabels { method, route }).observe(took.as_secs_f64());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// A request that is being handled.
#[derive(Debug)]
pub(crate) struct InFlight<'m> {
    metrics: &'m Metrics,
    method: &'static str,
    route: &'static str,
    since: tokio::time::Instant,
    done: bool,
}

impl InFlight<'_> {
    pub(crate) fn finish(mut self, status: StatusCode) {
        self.done = true;
        self.metrics.finish(self.method, self.route, status.as_u16(), self.since.elapsed());
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.metrics.finish(self.method, self.route, 499, self.since.elapsed());
        }
    }
}

/// An open realtime connection.
#[derive(Debug)]
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A method as a label: anybody can invent methods, so unknown ones share one.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "OTHER",
    }
}
