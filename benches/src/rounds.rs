//! The order of measurements.

use std::{net::SocketAddr, path::Path, sync::Arc};

use http::HeaderValue;

use crate::{
    bare,
    client::Connection,
    delay,
    documents::{Operation, READ, READ_COLLECTION, SETTINGS, seeded},
    failure::Result,
    fan_out::{self, Audience, OF_ONE_USER, Place, Publisher},
    http_load::HttpLoad,
    large::Large,
    options::Options,
    postgres::Database,
    process::Process,
    raw_sqlite::{self, Transactions},
    replay,
    sample::Sample,
    series::Series,
    server::Server,
    usage::Watched,
};

/// The name of the bare service in the report.
const BARE_HTTP: &str = "bare hyper service, same bytes";
const BARE_BROADCAST: &str = "bare tokio-tungstenite broadcast, same bytes";

/// All that runs meanwhile.
pub(crate) struct Bench<'a> {
    options: &'a Options,
    server: &'a Server,
    database: Option<&'a Database>,
    folder: &'a Path,
    http: (Process, SocketAddr),
    broadcast: (Process, SocketAddr),
}

impl<'a> Bench<'a> {
    /// Starts the limits that are processes.
    ///
    /// # Errors
    /// They cannot be started.
    pub(crate) fn new(
        options: &'a Options,
        server: &'a Server,
        database: Option<&'a Database>,
        folder: &'a Path,
    ) -> Result<Self> {
        let (http, broadcast) = (Process::limit(bare::HTTP)?, Process::limit(bare::BROADCAST)?);
        Ok(Self { options, server, database, folder, http, broadcast })
    }

    /// All rounds.
    ///
    /// # Errors
    /// The first measurement that could not be taken.
    pub(crate) async fn run(&self) -> Result<(Vec<Series>, Vec<String>)> {
        let token = self.server.sign_in().await?;
        self.seed(&token).await?;
        let sizes = self.sizes(&token).await?;
        let frame = self.frame(&token).await?;
        let large = Large::fill(self.server, &token, self.options.large).await?;
        let mut series = Vec::new();
        for operation in Operation::ALL {
            for connections in self.options.connections(operation) {
                series.push(Series::new(format!("{}, {connections} connections", operation.name())));
            }
        }
        series.extend(large.as_ref().map(Large::series));
        for subscribers in &self.options.subscribers {
            for audience in Audience::ALL {
                series.push(Series::new(format!("deliver a change, {subscribers} subscribers, {}", audience.name())));
            }
        }
        for round in 0..self.options.rounds {
            // The token of a long run would expire.
            let token = self.server.sign_in().await?;
            let mut rest = series.iter_mut();
            for (operation, size) in Operation::ALL.into_iter().zip(&sizes) {
                for connections in self.options.connections(operation) {
                    let Some(series) = rest.next() else { break };
                    self.announce(round, series);
                    self.requests(round, series, operation, *connections, *size, &token).await?;
                }
            }
            if let Some(large) = &large
                && let Some(series) = rest.next()
            {
                self.announce(round, series);
                large.measure(round, series, (self.options, self.watched()), (self.server, &token)).await?;
            }
            for subscribers in &self.options.subscribers {
                for audience in Audience::ALL {
                    let Some(series) = rest.next() else { break };
                    self.announce(round, series);
                    self.deliveries(round, series, (*subscribers, audience), &frame, &token).await?;
                }
            }
        }
        Ok((series, self.ways().await?))
    }

    /// What is no comparison: the time that changes are on their way, and replays.
    async fn ways(&self) -> Result<Vec<String>> {
        let (server, options) = (self.server, self.options);
        let mut notes = Vec::new();
        if let (Some(subscribers), 1..) = (options.subscribers.first(), options.rate) {
            for (number, audience) in [Audience::SignedIn, Audience::Each].into_iter().enumerate() {
                let collection = format!("on-their-way-{number}");
                server.configure(&collection, audience.settings()).await?;
                let place = self.place(&collection, audience, *subscribers).await?;
                let writer = Connection::open(server.address(), Some(server.sign_in().await?)).await?;
                let pace = (options.rate, options.time);
                let found = delay::run(&place, (writer, &collection), *subscribers, pace, self.watched()).await?;
                notes.push(format!("{}: {found}", audience.name()));
            }
        }
        if options.replay > 0 {
            let token = server.sign_in().await?;
            notes.extend(replay::run(server, &token, (options.replay, options.rounds), self.watched()).await?);
        }
        Ok(notes)
    }

    async fn place(&self, collection: &str, audience: Audience, subscribers: usize) -> Result<Place> {
        let place = Place::server(self.server.address(), collection, audience);
        match audience {
            Audience::SignedIn => {
                Ok(place.with_tokens(self.server.sign_in_many(subscribers.div_ceil(OF_ONE_USER)).await?))
            }
            _ => Ok(place),
        }
    }

    fn announce(&self, round: usize, series: &Series) {
        eprintln!("round {} of {}: {}", round + 1, self.options.rounds, series.name);
    }

    async fn requests(
        &self,
        round: usize,
        series: &mut Series,
        operation: Operation,
        connections: usize,
        size: usize,
        token: &HeaderValue,
    ) -> Result<()> {
        // Every other round goes the other way, so that what drifts does not always favour the same one.
        if round.is_multiple_of(2) {
            let sample = self.of_server(round, operation, connections, token).await?;
            series.server.push(sample);
        }
        series.add(BARE_HTTP, self.of_bare(operation, connections, size).await?);
        if operation == Operation::Create {
            self.inserts(series, connections).await?;
        }
        if !round.is_multiple_of(2) {
            let sample = self.of_server(round, operation, connections, token).await?;
            series.server.push(sample);
        }
        Ok(())
    }

    async fn of_server(
        &self,
        round: usize,
        operation: Operation,
        connections: usize,
        token: &HeaderValue,
    ) -> Result<Sample> {
        let collection = format!("created-{round}-{connections}");
        let load = HttpLoad {
            address: self.server.address(),
            token: Some(token.clone()),
            connections,
            time: self.options.time,
            requests: self.options.requests,
            status: operation.status(),
            call: Arc::new(move |number| operation.call(&collection, number)),
            watched: self.watched(),
        };
        load.run().await
    }

    async fn of_bare(&self, operation: Operation, connections: usize, size: usize) -> Result<Sample> {
        let load = HttpLoad {
            address: self.http.1,
            token: None,
            connections,
            time: self.options.time,
            requests: self.options.requests,
            status: operation.status(),
            call: Arc::new(move |number| operation.bare_call(number, size)),
            watched: Watched { process: self.http.0.id(), postmaster: None },
        };
        load.run().await
    }

    /// The same rows without a server around them.
    async fn inserts(&self, series: &mut Series, connections: usize) -> Result<()> {
        let (folder, time, rows) = (self.folder, self.options.time, self.options.requests);
        if let Some(database) = self.database {
            let sample = database.pgbench(folder, time).await?;
            series.add("pgbench, 16 clients, document row alone", sample);
            return Ok(());
        }
        let single = Transactions { documents: 1, with_changes: false };
        let name = "raw SQLite, a row a transaction";
        series.add(name, raw_sqlite::run(folder, single, time, rows).await?);
        let batch = Transactions { documents: connections, with_changes: false };
        let name = format!("raw SQLite, {connections} rows a transaction");
        series.add(&name, raw_sqlite::run(folder, batch, time, rows).await?);
        let changes = Transactions { documents: connections, with_changes: true };
        let name = format!("raw SQLite, {connections} rows and their changes a transaction");
        series.add(&name, raw_sqlite::run(folder, changes, time, rows).await?);
        Ok(())
    }

    async fn deliveries(
        &self,
        round: usize,
        series: &mut Series,
        (subscribers, audience): (usize, Audience),
        frame: &str,
        token: &HeaderValue,
    ) -> Result<()> {
        let collection = format!("{}-{round}-{subscribers}", audience.name().replace(' ', "-"));
        self.server.configure(&collection, audience.settings()).await?;
        let limits = (self.options.time, self.options.requests);
        let server = async {
            let address = self.server.address();
            let place = self.place(&collection, audience, subscribers).await?;
            let publisher = Publisher::server(address, token, &collection).await?;
            fan_out::run(&place, publisher, subscribers, limits, self.watched()).await
        };
        let bare = async {
            let (process, address) = &self.broadcast;
            let watched = Watched { process: process.id(), postmaster: None };
            let publisher = Publisher::bare(*address, frame.to_owned()).await?;
            fan_out::run(&Place::bare(*address), publisher, subscribers, limits, watched).await
        };
        let (of_server, of_bare) = if round.is_multiple_of(2) {
            let of_server = server.await?;
            (of_server, bare.await?)
        } else {
            let of_bare = bare.await?;
            (server.await?, of_bare)
        };
        series.server.push(of_server);
        series.add(BARE_BROADCAST, of_bare);
        Ok(())
    }

    async fn seed(&self, token: &HeaderValue) -> Result<()> {
        self.server.configure(READ_COLLECTION, SETTINGS).await?;
        let mut connection = Connection::open(self.server.address(), Some(token.clone())).await?;
        for number in 0..READ {
            connection.send(seeded(number)).await?.expect(201)?;
        }
        Ok(())
    }

    /// How many bytes the answer to each operation has.
    async fn sizes(&self, token: &HeaderValue) -> Result<Vec<usize>> {
        let mut connection = Connection::open(self.server.address(), Some(token.clone())).await?;
        let mut sizes = Vec::new();
        for operation in Operation::ALL {
            let answer = connection.send(operation.call("probed", 500_000)).await?;
            sizes.push(answer.expect(operation.status())?.len());
        }
        Ok(sizes)
    }

    async fn frame(&self, token: &HeaderValue) -> Result<String> {
        let address = self.server.address();
        self.server.configure("probed", Audience::Alike.settings()).await?;
        let place = Place::server(address, "probed", Audience::Alike);
        let mut publisher = Publisher::server(address, token, "probed").await?;
        fan_out::frame(&place, &mut publisher).await
    }

    fn watched(&self) -> Watched {
        Watched { process: self.server.id(), postmaster: self.database.and_then(Database::postmaster) }
    }
}
