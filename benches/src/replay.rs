//! Changes that were made before their subscriber came.

use std::time::Instant;

use http::HeaderValue;
use serde_json::Value;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    failure::Result,
    fan_out::{Audience, CHANGE, PATIENCE, Place, Socket, next_text},
    large,
    server::Server,
    usage::Watched,
};

/// The collection that is filled.
const COLLECTION: &str = "replayed";
/// How many replay at once.
const READERS: [usize; 2] = [1, 10];

/// Makes `changes` changes, and lets subscribers begin before the first.
///
/// # Errors
/// A subscriber was refused or closed, or did not get all.
pub(crate) async fn run(
    server: &Server,
    token: &HeaderValue,
    (changes, rounds): (u64, usize),
    watched: Watched,
) -> Result<Vec<String>> {
    server.configure(COLLECTION, Audience::SignedIn.settings()).await?;
    let tokens = server.sign_in_many(1).await?;
    let place = Place::server(server.address(), COLLECTION, Audience::SignedIn).with_tokens(tokens);
    let (_, subscribed) = place.subscribe(0).await?;
    let subscribed: Value = serde_json::from_str(&subscribed)?;
    let since = subscribed.get("cursor").and_then(Value::as_str).ok_or("no cursor")?.to_owned();
    large::fill(server, token, COLLECTION, changes).await?;
    let mut found = Vec::new();
    for round in 0..rounds {
        for readers in READERS {
            eprintln!("round {} of {rounds}: {readers} replay {changes} changes", round + 1);
            let place = place.with_since(since.clone());
            let (usage, begin) = (watched.usage()?, Instant::now());
            let mut reading = JoinSet::new();
            for reader in 0..readers {
                let place = place.clone();
                reading.spawn(async move { read(place.subscribe(reader).await?.0, changes).await });
            }
            while let Some(read) = reading.join_next().await {
                read??;
            }
            let (wall, (cpu, _)) = (begin.elapsed(), watched.usage()?.since(&usage));
            let all = f64::from(u32::try_from(changes * u64::try_from(readers)?)?);
            found.push(format!(
                "{readers} signed in replay {changes} changes each: {:.2} s, {:.0} changes/s together, {:.1} µs of the server's \
                 CPU time a change and reader",
                wall.as_secs_f64(),
                all / wall.as_secs_f64(),
                cpu.as_secs_f64() * 1e6 / all,
            ));
        }
    }
    Ok(found)
}

async fn read(mut socket: Socket, changes: u64) -> Result<()> {
    let mut came = 0;
    while came < changes {
        let text = timeout(PATIENCE, next_text(&mut socket)).await.map_err(|_| "the replay stands still")??;
        if text.starts_with(CHANGE) {
            came += 1;
        } else if !text.starts_with("{\"type\":\"heartbeat\"") {
            return Err(format!("a subscriber was told: {text}").into());
        }
    }
    Ok(())
}
