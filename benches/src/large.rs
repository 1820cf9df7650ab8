//! Whether a list costs more where there are more documents.

use std::sync::Arc;

use http::HeaderValue;
use tokio::task::JoinSet;

use crate::{
    client::{Call, Connection},
    documents::{SETTINGS, document, short},
    failure::Result,
    http_load::HttpLoad,
    options::Options,
    sample::Sample,
    series::Series,
    server::Server,
    usage::Watched,
};

/// The collection with few documents, and how many.
const FEW: (&str, u64) = ("few", 10_000);
/// The collection with many.
const MANY: &str = "many";
/// With how many connections it is filled, and asked.
const FILLING: u64 = 64;
const ASKING: usize = 16;

/// Creates so many documents in a collection.
///
/// # Errors
/// The server refuses a document.
pub(crate) async fn fill(server: &Server, token: &HeaderValue, collection: &'static str, documents: u64) -> Result<()> {
    eprintln!("filling {collection} with {documents} documents");
    let mut tasks = JoinSet::new();
    for first in 0..FILLING {
        let (address, token) = (server.address(), token.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(address, Some(token)).await?;
            let mut number = first;
            while number < documents {
                let call = Call::post(format!("/db/{collection}"), document(number));
                connection.send(call).await?.expect(201)?;
                number += FILLING;
            }
            Result::Ok(())
        });
    }
    while let Some(filled) = tasks.join_next().await {
        filled??;
    }
    Ok(())
}

/// Two collections that differ in nothing but their size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large {
    documents: u64,
}

impl Large {
    /// Fills both; nothing is measured if `documents` is 0.
    ///
    /// # Errors
    /// The server refuses a document.
    pub(crate) async fn fill(server: &Server, token: &HeaderValue, documents: u64) -> Result<Option<Self>> {
        if documents == 0 {
            return Ok(None);
        }
        for (collection, documents) in [FEW, (MANY, documents)] {
            server.configure(collection, SETTINGS).await?;
            fill(server, token, collection, documents).await?;
        }
        Ok(Some(Self { documents }))
    }

    /// What the report shows.
    pub(crate) fn series(&self) -> Series {
        Series::new(format!("list of 30, filtered and sorted, in {} documents", self.documents))
    }

    /// Asks both, in one order and in the other.
    ///
    /// # Errors
    /// A measurement that cannot be taken.
    pub(crate) async fn measure(
        &self,
        round: usize,
        series: &mut Series,
        (options, watched): (&Options, Watched),
        (server, token): (&Server, &HeaderValue),
    ) -> Result<()> {
        let list = async |collection: &'static str| -> Result<Sample> {
            let load = HttpLoad {
                address: server.address(),
                token: Some(token.clone()),
                connections: ASKING,
                time: options.time,
                requests: options.requests,
                status: 200,
                call: Arc::new(move |_| short(collection)),
                watched,
            };
            load.run().await
        };
        let (many, few) = if round.is_multiple_of(2) {
            let many = list(MANY).await?;
            (many, list(FEW.0).await?)
        } else {
            let few = list(FEW.0).await?;
            (list(MANY).await?, few)
        };
        series.server.push(many);
        series.add(&format!("the same in {} documents", FEW.1), few);
        Ok(())
    }
}
