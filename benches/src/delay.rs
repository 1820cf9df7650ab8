//! How long a change is on its way: from its commit, as the writer knows of it, to each subscriber.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::StreamExt as _;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    client::Connection,
    documents::Operation,
    failure::Result,
    fan_out::{CHANGE, CONNECTING, PATIENCE, Place, Socket, next_text},
    usage::Watched,
};

/// When a change was asked for, and when the writer was told that it is done.
type Written = (Instant, Instant);

/// Creates `rate` documents a second in `collection` for `time`, and says how late they came.
///
/// # Errors
/// A subscriber was refused or closed, or a change did not reach all.
pub(crate) async fn run(
    place: &Place,
    (mut writer, collection): (Connection, &str),
    subscribers: usize,
    (rate, time): (u32, Duration),
    watched: Watched,
) -> Result<String> {
    let pause = Duration::from_secs(1) / rate.max(1);
    let changes = u64::from(rate) * time.as_secs();
    let mut listening = JoinSet::new();
    let mut opening =
        futures_util::stream::iter((0..subscribers).map(|number| place.subscribe(number))).buffer_unordered(CONNECTING);
    while let Some(subscriber) = opening.next().await {
        listening.spawn(listen(subscriber?.0, changes));
    }
    drop(opening);
    let (usage, begin) = (watched.usage()?, Instant::now());
    let mut written: HashMap<u64, Written> = HashMap::new();
    for number in 0..changes {
        let at = begin + pause * u32::try_from(number)?;
        tokio::time::sleep_until(at.into()).await;
        let asked = Instant::now();
        let create = Operation::Create;
        writer.send(create.call(collection, number)).await?.expect(create.status())?;
        written.insert(number, (asked, Instant::now()));
    }
    let mut delays = (Vec::new(), Vec::new());
    while let Some(heard) = listening.join_next().await {
        for (number, at) in heard?? {
            let (asked, answered) = written.get(&number).ok_or("a change that nobody made")?;
            delays.0.push(at.saturating_duration_since(*asked));
            delays.1.push(at.saturating_duration_since(*answered));
        }
    }
    let (cpu, _) = watched.usage()?.since(&usage);
    Ok(format!(
        "{changes} changes, {rate} a second, to {subscribers} subscribers: from the commit's answer {}; from the request {}; \
         {:.1} µs of the server's CPU time a delivery",
        spread(delays.1),
        spread(delays.0),
        cpu.as_secs_f64() * 1e6 / f64::from(u32::try_from(changes * u64::try_from(subscribers)?)?),
    ))
}

/// When each change came.
async fn listen(mut socket: Socket, changes: u64) -> Result<Vec<(u64, Instant)>> {
    let mut heard = Vec::new();
    while u64::try_from(heard.len())? < changes {
        let text = timeout(PATIENCE, next_text(&mut socket)).await.map_err(|_| "a change did not reach all")??;
        if text.starts_with(CHANGE) {
            let at = Instant::now();
            heard.push((number(&text).ok_or("a change without a number")?, at));
        }
    }
    Ok(heard)
}

/// The number of the document that a frame carries.
fn number(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("\"number\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn spread(mut delays: Vec<Duration>) -> String {
    delays.sort_unstable();
    let at = |part: usize| delays.get((delays.len() * part / 100).min(delays.len().saturating_sub(1)));
    let millis = |part: usize| at(part).map_or(f64::NAN, |delay| delay.as_secs_f64() * 1e3);
    format!("p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", millis(50), millis(99), millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_percentiles() {
        assert_eq!(number(r#"{"type":"change","document":{"number":17,"x":1}}"#), Some(17));
        assert_eq!(number("{}"), None);
        let delays = (1..=100).map(Duration::from_millis).collect();
        assert_eq!(spread(delays), "p50 51.0 ms, p99 100.0 ms, longest 100.0 ms");
    }
}
