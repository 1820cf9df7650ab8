//! `kill -9` of the server while files are uploaded, replaced and deleted: the old file or the new one, never half.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::Method;
use tokio::task::JoinSet;
use universal_tests::{client::Client, environment::Volume, server::Server, wait};

const WRITERS: usize = 16;

/// What may be found under a key: the last that was acknowledged, or anything sent since without an answer.
type Possible = Vec<Option<Content>>;

/// A file by the numbers it is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Content {
    seed: usize,
    length: usize,
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        (0..self.length).map(|at| (at.wrapping_mul(self.seed | 1) ^ (at >> 9) ^ self.seed).to_le_bytes()[0]).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_files_whole() {
    killed_under_uploads(Server::sqlite().await, Volume::from_environment().pick(6, 100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_files_whole() {
    killed_under_uploads(Server::postgres().await, Volume::from_environment().pick(4, 100)).await;
}

async fn killed_under_uploads(server: Server, kills: u32) {
    let client = server.client().someone().await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let books: Vec<Arc<Mutex<Possible>>> = (0..WRITERS).map(|_| Arc::new(Mutex::new(vec![None]))).collect();
    let mut writers = JoinSet::new();
    for (number, book) in books.iter().enumerate() {
        writers.spawn(write(client.clone(), number, Arc::clone(book), Arc::clone(&stop), Arc::clone(&done)));
    }
    for kill in 0..kills {
        let before = done.load(Ordering::Relaxed);
        wait::until("uploads to get on", Duration::from_secs(60), || async {
            done.load(Ordering::Relaxed) > before + WRITERS
        })
        .await;
        // At another moment of the server's work each time.
        wait::pause(Duration::from_millis(u64::from(kill * 37 % 200))).await;
        server.kill();
        server.start().await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.expect("a writer does not panic");
    }

    let mut faults = Vec::new();
    let client = server.client().signed_in(
        &server.client().post("/auth/refresh", serde_json::json!({ "refresh_token": client.refresh_token() })).await,
    );
    for (number, book) in books.iter().enumerate() {
        let possible = book.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let found = client.read(&path(number)).await;
        let is_possible = match found.status {
            404 => possible.contains(&None),
            200 => possible.iter().flatten().any(|content| content.bytes() == found.body),
            _ => false,
        };
        if !is_possible {
            let (status, length) = (found.status, found.body.len());
            faults.push(format!("{number}: {status} with {length} bytes, possible: {possible:?}"));
        }
    }
    let listed = client.read("/storage/files?limit=500").await.expect(200).json();
    for object in listed["items"].as_array().expect("items") {
        let key = object["key"].as_str().expect("a key");
        let read = client.read(&format!("/storage/files/{key}")).await;
        if read.status != 200 || object["size"].as_u64() != Some(read.body.len() as u64) {
            faults.push(format!(
                "{key}: listed with {} bytes, read {} with {}",
                object["size"],
                read.status,
                read.body.len()
            ));
        }
    }
    println!("{kills} kills, {} uploads and deletes acknowledged", done.load(Ordering::Relaxed));
    assert!(faults.is_empty(), "{}\n--- the server:\n{}", faults.join("\n"), server.log());
}

fn path(number: usize) -> String {
    format!("/storage/files/folder/{number}.bin")
}

/// One key, put and deleted again and again, until told to stop.
async fn write(
    client: Client,
    number: usize,
    book: Arc<Mutex<Possible>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) {
    let mut step = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        step += 1;
        let seed = number * 1_000_003 + step;
        // From nothing to several parts.
        let length = [0, 10, 70_000, 1_048_576, 1_500_000, 3_300_000].get(seed % 6).copied().unwrap_or_default();
        let next = (!step.is_multiple_of(5)).then_some(Content { seed, length });
        book.lock().unwrap_or_else(PoisonError::into_inner).push(next);
        let request = match next {
            Some(content) => client.request(Method::PUT, &path(number)).body(content.bytes()),
            None => client.request(Method::DELETE, &path(number)),
        };
        match client.try_send(request).await {
            Ok(answer) if matches!(answer.status, 200 | 201 | 204 | 404) => {
                *book.lock().unwrap_or_else(PoisonError::into_inner) = vec![next];
                done.fetch_add(1, Ordering::Relaxed);
            }
            // No answer, or one that promises nothing: before it, or after it.
            _ => wait::pause(Duration::from_millis(50)).await,
        }
    }
}
