//! `kill -9` of a program whose backend builds an index, or has hooks to run after commits: the next life goes on with both.
//!
//! The program is this test binary itself, started to run [`the_program_that_is_killed`] alone. It kills itself, at a
//! moment that only it can see.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use universal_core::{
    Backend, Caller, CollectionName, DocumentId, Settings, TenantId, Timestamp,
    builder::Builder,
    clock::{Clock, SystemClock},
    collections::{
        Batch, CollectionMatch, CollectionSettings, Counting, IndexSettings, IndexState, ListQuery, NewDocument,
        Precondition,
    },
    json::Object,
    secret::MasterKey,
};
use universal_tests::{postgres::TestDatabase, process::signal, wait};

/// What the program does; without it, it is a test of nothing.
const WORK: &str = "UNIVERSAL_TEST_KILLED_WORK";
const FOLDER: &str = "UNIVERSAL_TEST_KILLED_FOLDER";
const DATABASE: &str = "UNIVERSAL_TEST_KILLED_DATABASE";
const LIFE: &str = "UNIVERSAL_TEST_KILLED_LIFE";

/// The life that is not killed.
const LAST: u32 = 2;
/// How many documents are indexed, in steps of 500.
const DOCUMENTS: usize = 10_000;
/// How many changes wait for hooks.
const CHANGES: usize = 40;
/// How long a hook's place in the feed is held by a node that is gone, and a second.
const HELD: Duration = Duration::from_secs(31);

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_built_over_several_lives() {
    for database in [None, Some(TestDatabase::migrated().await)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        lives("index", folder.path(), database.as_ref()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hooks_run_for_what_was_committed_before_a_kill() {
    for database in [None, Some(TestDatabase::migrated().await)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        lives("hooks", folder.path(), database.as_ref()).await;
        let journal = lines(&folder.path().join("journal"));
        let done: Vec<&str> = journal.iter().filter_map(|line| line.strip_prefix("done ")).collect();
        let mut first = Vec::new();
        for id in &done {
            if !first.contains(id) {
                first.push(*id);
            }
        }
        // Every change that was acknowledged, in their order; some of them more than once.
        assert_eq!(first, (0..CHANGES).map(change).collect::<Vec<_>>(), "{journal:?}");
        let mut begun: HashMap<&str, u32> = HashMap::new();
        for id in journal.iter().filter_map(|line| line.strip_prefix("begun ")) {
            *begun.entry(id).or_default() += 1;
        }
        // The two that were under way when the program was killed.
        assert!(begun.values().filter(|times| **times > 1).count() >= 2, "{journal:?}");
    }
}

/// Runs the program until its last life has ended by itself.
async fn lives(work: &str, folder: &Path, database: Option<&TestDatabase>) {
    for life in 0..=LAST {
        let status = Running::start(work, folder, (database, life)).ended().await;
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        match life {
            LAST => assert!(status.success(), "the last life ended with {status}:\n{log}"),
            _ => assert_eq!(status.signal(), Some(9), "life {life} ended with {status}:\n{log}"),
        }
    }
}

/// The program in one of its lives; killed when dropped.
struct Running(Child);

impl Running {
    fn start(work: &str, folder: &Path, (database, life): (Option<&TestDatabase>, u32)) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log file");
        let (_, place) = module_path!().split_once("::").expect("a path within the test binary");
        let child = Command::new(std::env::current_exe().expect("a running test has a path"))
            .args(["--exact", &format!("{place}::the_program_that_is_killed"), "--nocapture"])
            .env(WORK, work)
            .env(FOLDER, folder)
            .env(DATABASE, database.map(TestDatabase::url).unwrap_or_default())
            .env(LIFE, life.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn();
        Self(child.expect("the test binary starts"))
    }

    async fn ended(mut self) -> ExitStatus {
        let child = &mut self.0;
        let mut ended = || child.try_wait().expect("a process of ours");
        wait::until_some("a life to end", Duration::from_secs(180), || std::future::ready(ended())).await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_that_is_killed() {
    let Ok(work) = std::env::var(WORK) else { return };
    let variable = |name| std::env::var(name).expect("it is set by who starts this");
    let life: u32 = variable(LIFE).parse().expect("a number");
    let here = Here { folder: variable(FOLDER).into(), database: variable(DATABASE), life };
    match work.as_str() {
        "index" => builds_an_index(here).await,
        _ => runs_hooks(here).await,
    }
}

/// A life of the program, and where it keeps what outlives it.
#[derive(Clone)]
struct Here {
    folder: PathBuf,
    database: String,
    life: u32,
}

/// So many lives of a held place later than it is.
#[derive(Debug)]
struct Ahead(Duration);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(self.0)
    }
}

impl Here {
    async fn open(&self, with: impl FnOnce(Builder) -> Builder) -> Backend {
        let mut settings = Settings::default();
        settings.data = self.folder.join("data");
        if !self.database.is_empty() {
            settings.database_url = Some(self.database.clone().into());
        }
        let builder = Backend::builder()
            .with_settings(settings)
            .with_master_key(MasterKey::from_hex(&"7a".repeat(32)).unwrap())
            .with_clock(Arc::new(Ahead(HELD * self.life)));
        with(builder).build().await.expect("a backend opens")
    }

    /// One line more in a file that several lives write.
    fn note(&self, file: &str, line: &str) {
        let file = OpenOptions::new().create(true).append(true).open(self.folder.join(file));
        file.and_then(|mut file| file.write_all(format!("{line}\n").as_bytes())).expect("a journal");
    }
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}

async fn killed() -> ! {
    signal(std::process::id(), "KILL");
    std::future::pending().await
}

fn system() -> Caller {
    Caller::system(TenantId::default_tenant())
}

fn things() -> CollectionName {
    CollectionName::new("things").unwrap()
}

fn thing(id: String, members: Value) -> NewDocument {
    NewDocument::new(Object::from_value(members).unwrap()).with_id(DocumentId::new(id).unwrap())
}

fn change(n: usize) -> String {
    format!("c{n:03}")
}

/// Is killed twice while an index is being built and documents of it are written, each time further on.
async fn builds_an_index(here: Here) {
    let backend = here.open(|builder| builder).await;
    let (collections, name, caller) = (backend.collections(), things(), system());
    if here.life == 0 {
        for some in (0..DOCUMENTS).collect::<Vec<_>>().chunks(500) {
            let batch = some
                .iter()
                .fold(Batch::new(), |batch, n| batch.create(&name, thing(format!("d{n:05}"), json!({"n": n}))));
            collections.batch(&caller, batch).await.expect("a batch");
        }
        let settings = CollectionSettings::new().with_index("by_n", IndexSettings::on(["n"]));
        collections.configure(&caller, &name, settings, None).await.expect("configured");
    }
    let progress = || async {
        let info = collections.settings(&caller, &name).await.expect("settings");
        (info.indexes[0].state, info.indexes[0].documents)
    };
    let (_, begun_at) = progress().await;
    assert!(here.life == 0 || begun_at > 0, "a life began anew");
    for round in 0_usize.. {
        let (state, documents) = progress().await;
        if here.life < LAST {
            assert_eq!(state, IndexState::Building, "it was built before it was killed");
            if documents > begun_at {
                killed().await;
            }
        } else if state == IndexState::Ready {
            break;
        }
        let id = format!("d{:05}", (round * 37 + usize::try_from(here.life).unwrap() * 11) % DOCUMENTS);
        let patch = Object::patch_from_value(json!({"late": true, "n": {"$inc": 1_000_000}})).unwrap();
        let known = DocumentId::new(id.clone()).unwrap();
        collections.patch(&caller, &name, &known, patch, Precondition::None).await.expect("patched");
        here.note("patched", &id);
    }
    let patched: BTreeSet<String> = lines(&here.folder.join("patched")).into_iter().collect();
    assert!(!patched.is_empty(), "nothing was written meanwhile");
    // Through the index, and without it.
    for (filter, expected) in [("n >= 1000000", patched.len()), ("late == true", patched.len()), ("n >= 0", DOCUMENTS)]
    {
        let query = ListQuery::new().with_filter(filter).unwrap().with_count(Counting::Exact);
        let count = collections.list(&caller, &name, &query).await.expect("a list").value.count.expect("a count");
        assert_eq!(count.value, u64::try_from(expected).unwrap(), "{filter}");
    }
    let query = ListQuery::new().with_filter("n >= 0").unwrap();
    let explanation = collections.explain(&caller, &name, &query, None).await.expect("explained");
    assert!(explanation.index.is_some_and(|index| index.name == "by_n"));
    backend.shutdown().await;
}

/// Is killed while its hook has not come further than the first change, then in the middle, then not.
async fn runs_hooks(here: Here) {
    let (hook, done) = (here.clone(), Arc::new(AtomicU32::new(0)));
    let backend = here
        .open(move |builder| {
            builder.after_commit(CollectionMatch::Only(things()), "journal", move |_, committed| {
                let (here, done) = (hook.clone(), Arc::clone(&done));
                let id = committed.change.id.as_str().to_owned();
                Box::pin(async move {
                    here.note("journal", &format!("begun {id}"));
                    match here.life {
                        0 => std::future::pending().await,
                        1 if done.fetch_add(1, Ordering::Relaxed) == 10 => killed().await,
                        _ => {}
                    }
                    here.note("journal", &format!("done {id}"));
                    Ok(())
                })
            })
        })
        .await;
    if here.life == 0 {
        for n in 0..CHANGES {
            backend
                .collections()
                .create(&system(), &things(), thing(change(n), json!({"n": n})))
                .await
                .expect("created");
        }
        let journal = here.folder.join("journal");
        wait::until("the hook to begin", Duration::from_secs(60), || std::future::ready(!lines(&journal).is_empty()))
            .await;
        killed().await;
    }
    let last = format!("done {}", change(CHANGES - 1));
    let journal = here.folder.join("journal");
    wait::until("the last change to be seen", Duration::from_secs(120), || {
        std::future::ready(lines(&journal).contains(&last))
    })
    .await;
    backend.shutdown().await;
}
