//! The test: sequences drawn by chance, played by the model and by both databases.

use std::{
    cell::Cell,
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;
use tokio::runtime::Runtime;
use universal_core::{
    clock::{Clock as _, Timestamp},
    error::Result as Answered,
    id::UserId,
};
use universal_tests::environment::Volume;

use super::{
    drawn::{Call, Change, List, One, Place, SLOTS, Step, Watch, Who, sequence},
    filter::Filter,
    reading::{Position, Shown, bad_cursor},
    side::{Paged, Side, refused},
    world::{Asker, Refusal, World},
};
use crate::conformance::subject::{On, subject};

/// How many steps a sequence has at most.
const STEPS: usize = 60;
/// How many sequences are played side by side, each on databases of its own.
const PLAYERS: u64 = 2;

/// A list whose pages are asked for one by one while others write.
struct Open {
    by: Asker,
    place: Place,
    list: List,
    next: Option<Position>,
    previous: Option<Position>,
    /// The cursors of both databases.
    cursors: [(Option<String>, Option<String>); 2],
    /// What it has shown, as long as its own caller alone went on, and forwards.
    shown: Option<Shown>,
}

/// A write by filter that stopped at its limit.
struct Stopped {
    tenant: usize,
    place: Place,
    filter: Filter,
    change: Change,
    limit: u32,
    next: String,
    cursors: [String; 2],
}

/// The model and both databases.
struct Game<'s> {
    world: World,
    sides: &'s mut [Side; 2],
    open: [Option<Open>; SLOTS],
    stopped: [Option<Stopped>; SLOTS],
}

/// What differs.
type Played = Result<(), String>;

fn shown(expected: &Result<Value, Refusal>) -> Value {
    expected.clone().unwrap_or_else(|refusal| refusal.show())
}

impl Game<'_> {
    /// Compares an answer with the one expected.
    fn same(&mut self, side: usize, expected: &Value, answer: Answered<Value>) -> Played {
        let answer = answer.unwrap_or_else(|error| refused(&error));
        let answer = self.sides[side].named(expected, answer);
        if answer == *expected {
            return Ok(());
        }
        Err(format!("{} answers\n{answer}\nand the model\n{expected}", ["SQLite", "PostgreSQL"][side]))
    }

    async fn play(&mut self, step: &Step) -> Played {
        self.world.now += i64::from(step.later);
        for side in &*self.sides {
            side.clock.advance(Duration::from_micros(step.later.into()));
        }
        let by = self.world.asker(step.tenant, step.who);
        match &step.call {
            Call::One(place, one @ One::Check(..)) => self.batch(&by, step, &[(*place, one.clone())]).await,
            Call::One(place, one) => {
                let sent = self.world.resolve(step.tenant, *place, one);
                let expected = shown(&self.world.one(&by, *place, &sent));
                for side in 0..2 {
                    let caller = self.sides[side].caller(step.tenant, step.who);
                    let answer = self.sides[side].one(&caller, *place, &sent).await;
                    self.same(side, &expected, answer)?;
                }
                Ok(())
            }
            Call::Batch(operations) => self.batch(&by, step, operations).await,
            Call::Pages(place, list) => {
                if self.open(&by, step, 0, *place, list).await? {
                    while self.turn(&by, step, 0, false).await? {}
                    while self.turn(&by, step, 0, true).await? {}
                }
                Ok(())
            }
            Call::Open(slot, place, list) => self.open(&by, step, *slot, *place, list).await.map(drop),
            Call::Forwards(slot) => self.turn(&by, step, *slot, false).await.map(drop),
            Call::Backwards(slot) => self.turn(&by, step, *slot, true).await.map(drop),
            Call::Distinct(place, filter, path, limit) => {
                let expected = shown(&self.world.distinct(&by, *place, filter, path, *limit));
                for side in 0..2 {
                    let caller = self.sides[side].caller(step.tenant, step.who);
                    let answer = self.sides[side].distinct(&caller, *place, filter, path, *limit).await;
                    self.same(side, &expected, answer)?;
                }
                Ok(())
            }
            Call::Groups(place, filter, path) => {
                let expected = shown(&self.world.aggregate(&by, *place, filter, path));
                for side in 0..2 {
                    let caller = self.sides[side].caller(step.tenant, step.who);
                    let answer = self.sides[side].groups(&caller, *place, filter, path).await;
                    self.same(side, &expected, answer)?;
                }
                Ok(())
            }
            Call::Matching(slot, place, filter, change, limit) => {
                self.stopped[*slot] = None;
                self.matching(&by, step, *slot, (*place, filter, change, *limit)).await
            }
            Call::GoOn(slot) => {
                let Some(stopped) = &self.stopped[*slot] else { return Ok(()) };
                let (place, limit) = (stopped.place, stopped.limit);
                let (filter, change) = (stopped.filter.clone(), stopped.change.clone());
                self.matching(&by, step, *slot, (place, &filter, &change, limit)).await
            }
            Call::Import(place, import) => {
                let expected = shown(&self.world.import(&by, *place, import));
                for side in 0..2 {
                    let caller = self.sides[side].caller(step.tenant, step.who);
                    let answer = self.sides[side].import(&caller, *place, import).await;
                    self.same(side, &expected, answer)?;
                }
                self.look(step, *place).await
            }
        }
    }

    /// A report of an import names no documents: all that there are now are looked at.
    async fn look(&mut self, step: &Step, place: Place) -> Played {
        let step = Step { who: Who::System, ..step.clone() };
        let by = self.world.asker(step.tenant, step.who);
        let list = List { filter: Filter::True, sort: "", limit: 500, counted: None };
        let expected = shown(&self.world.page(&by, place, &list, None).map(|page| page.shown));
        self.pages(&step, place, &list, &expected, [None, None]).await.map(drop)
    }

    async fn batch(&mut self, by: &Asker, step: &Step, operations: &[(Place, One)]) -> Played {
        let sent: Vec<_> =
            operations.iter().map(|(place, one)| (*place, self.world.resolve(step.tenant, *place, one))).collect();
        let before = self.world.clone();
        let results = sent
            .iter()
            .enumerate()
            .map(|(index, (place, sent))| self.world.one(by, *place, sent).map_err(|refusal| refusal.at(index)));
        let expected: Result<Vec<_>, _> = results.collect();
        if expected.is_err() {
            self.world = before;
        }
        let expected = shown(&expected.map(Value::from));
        for side in 0..2 {
            let caller = self.sides[side].caller(step.tenant, step.who);
            let answer = self.sides[side].batch(&caller, &sent).await;
            self.same(side, &expected, answer)?;
        }
        Ok(())
    }

    /// The first page of a list; whether it was not refused.
    async fn open(&mut self, by: &Asker, step: &Step, slot: usize, place: Place, list: &List) -> Result<bool, String> {
        let mut seen = Shown::begin(&self.world, by, place, &list.filter);
        let page = self.world.page(by, place, list, None);
        let expected = shown(&page.as_ref().map(|page| page.shown.clone()).map_err(Clone::clone));
        let cursors = self.pages(step, place, list, &expected, [None, None]).await?;
        let Ok(page) = page else { return Ok(false) };
        seen.add(&page.items);
        let (list, by) = (list.clone(), by.clone());
        let open = Open { by, place, list, next: page.next, previous: page.previous, cursors, shown: Some(seen) };
        self.open[slot] = Some(open);
        self.finish(slot)?;
        Ok(true)
    }

    /// Another page of a list; whether there was one.
    async fn turn(&mut self, by: &Asker, step: &Step, slot: usize, backwards: bool) -> Result<bool, String> {
        let Some(mut open) = self.open[slot].take() else { return Ok(false) };
        let start = if backwards { open.previous.clone() } else { open.next.clone() };
        let Some(start) = start else {
            self.open[slot] = Some(open);
            return Ok(false);
        };
        let cursors = open.cursors.clone().map(|(next, previous)| if backwards { previous } else { next });
        let page = match by.admitted(open.place) {
            Ok(()) if by.tenant != open.by.tenant => Err(bad_cursor()),
            Ok(()) => self.world.page(by, open.place, &open.list, Some(&start)),
            Err(refusal) => Err(refusal),
        };
        let expected = shown(&page.as_ref().map(|page| page.shown.clone()).map_err(Clone::clone));
        let cursors = self.pages(step, open.place, &open.list, &expected, cursors).await?;
        let Ok(page) = page else {
            self.open[slot] = Some(open);
            return Ok(false);
        };
        let is_same = !backwards && by.user == open.by.user && by.is_bound() == open.by.is_bound();
        open.shown = open.shown.take().filter(|_| is_same);
        if let Some(seen) = &mut open.shown {
            seen.add(&page.items);
        }
        (open.next, open.previous, open.cursors) = (page.next, page.previous, cursors);
        self.open[slot] = Some(open);
        self.finish(slot)?;
        Ok(true)
    }

    /// Judges a list that has no more pages.
    fn finish(&mut self, slot: usize) -> Played {
        let Some(open) = &mut self.open[slot] else { return Ok(()) };
        match open.shown.take() {
            Some(seen) if open.next.is_none() => seen.judge(&self.world, &open.by, open.place, &open.list.filter),
            seen => {
                open.shown = seen;
                Ok(())
            }
        }
    }

    async fn pages(
        &mut self,
        step: &Step,
        place: Place,
        list: &List,
        expected: &Value,
        cursors: [Option<String>; 2],
    ) -> Result<[(Option<String>, Option<String>); 2], String> {
        let mut found = [(None, None), (None, None)];
        for (side, cursor) in cursors.iter().enumerate() {
            let caller = self.sides[side].caller(step.tenant, step.who);
            let answer = match self.sides[side].page(&caller, place, list, cursor.as_deref()).await {
                Ok(Paged { shown, next, previous }) => {
                    found[side] = (next, previous);
                    Ok(shown)
                }
                Err(error) => Err(error),
            };
            self.same(side, expected, answer)?;
        }
        Ok(found)
    }

    /// A write by filter, from its begin or from where it stopped.
    async fn matching(
        &mut self,
        by: &Asker,
        step: &Step,
        slot: usize,
        (place, filter, change, limit): (Place, &Filter, &Change, u32),
    ) -> Played {
        let from = self.stopped[slot].take();
        let before = self.world.clone();
        let after = from.as_ref().map(|from| from.next.as_str());
        let expected = match by.admitted(place) {
            Ok(()) if from.as_ref().is_some_and(|from| from.tenant != by.tenant) => Err(bad_cursor()),
            Ok(()) => self.world.matching(by, place, (filter, change, limit), after),
            Err(refusal) => Err(refusal),
        };
        if expected.is_err() {
            self.world = before;
        }
        let answer = shown(&expected.as_ref().map(|(shown, _)| shown.clone()).map_err(Clone::clone));
        let mut cursors = Vec::new();
        for side in 0..2 {
            let caller = self.sides[side].caller(step.tenant, step.who);
            let cursor = from.as_ref().map(|from| from.cursors[side].as_str());
            let done = self.sides[side].matching(&caller, place, (filter, change, limit), cursor).await;
            let done = done.map(|(shown, next)| {
                cursors.extend(next);
                shown
            });
            self.same(side, &answer, done)?;
        }
        self.stopped[slot] = match (expected, <[String; 2]>::try_from(cursors)) {
            (Ok((_, Some(next))), Ok(cursors)) => {
                let (filter, change) = (filter.clone(), change.clone());
                Some(Stopped { tenant: by.tenant, place, filter, change, limit, next, cursors })
            }
            (Ok(_), _) => None,
            (Err(_), _) => from,
        };
        Ok(())
    }

    /// Plays all steps while others watch, then compares what they were told and what the feed holds.
    async fn all(mut self, watches: &[Watch], steps: &[Step]) -> Played {
        let mut watching = Vec::new();
        for watch in watches {
            let by = self.world.asker(watch.tenant, watch.who);
            let expected = by.admitted(watch.place).map_err(|refusal| refusal.show());
            for side in 0..2 {
                let subscribed = self.sides[side].watch(watch, false).await;
                let answer = subscribed.as_ref().map(drop).map_err(refused);
                if answer != expected {
                    return Err(format!("{watch:?} of side {side}: {answer:?} instead of {expected:?}"));
                }
                watching.extend(subscribed.ok().map(|subscription| (side, watch, subscription)));
            }
        }
        for (number, step) in steps.iter().enumerate() {
            self.play(step).await.map_err(|found| format!("step {number} {step:?}:\n{found}"))?;
        }
        for (side, watch, mut subscription) in watching {
            let by = self.world.asker(watch.tenant, watch.who);
            let changes = self.world.feed[watch.tenant].len();
            let told = self.sides[side].events(watch.tenant, &mut subscription, changes).await;
            let expected = self.world.events(&by, watch, false).into();
            self.same(side, &expected, Ok(told.into())).map_err(|found| format!("{watch:?}:\n{found}"))?;
            let mut late = self.sides[side].watch(watch, true).await.unwrap();
            let told = self.sides[side].events(watch.tenant, &mut late, changes).await;
            let expected = self.world.events(&by, watch, true).into();
            self.same(side, &expected, Ok(told.into())).map_err(|found| format!("{watch:?}, afterwards:\n{found}"))?;
        }
        for tenant in 0..2 {
            let expected = self.world.changes(tenant);
            for side in 0..2 {
                let changes = self.sides[side].changes(tenant, expected.len()).await;
                let expected = expected.clone().into();
                self.same(side, &expected, Ok(changes.into())).map_err(|found| format!("the feed:\n{found}"))?;
            }
        }
        Ok(())
    }
}

/// `UNIVERSAL_TEST_SEED`, or another number with every run.
fn seed() -> u64 {
    match std::env::var("UNIVERSAL_TEST_SEED") {
        Ok(seed) => seed.parse().expect("UNIVERSAL_TEST_SEED is a number"),
        Err(_) => RandomState::new().hash_one("sequences"),
    }
}

/// Turns the clock that is behind to the moment of the other.
fn together(sides: &[Side; 2]) -> Timestamp {
    let now = sides.iter().map(|side| side.clock.now()).max().unwrap();
    for side in sides {
        let behind = now.as_micros() - side.clock.now().as_micros();
        side.clock.advance(Duration::from_micros(behind.unsigned_abs()));
    }
    now
}

/// Plays sequences on databases of its own; how many calls each answered, or what was found.
fn player(seed: u64, cases: u32, sequences: &AtomicUsize) -> Result<usize, String> {
    let runtime = Runtime::new().unwrap();
    let both = runtime.block_on(async { [subject(On::Sqlite).await, subject(On::Postgres).await] });
    let users = [UserId::generate(), UserId::generate(), UserId::generate()];
    let sides = runtime
        .block_on(async { [Side::new(&both[0], users.clone()).await, Side::new(&both[1], users.clone()).await] });
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let sides = Cell::new(Some(sides));
    let result = runner.run(&sequence(STEPS), |(watches, steps)| {
        // A sequence that panicked keeps its databases: smaller ones cannot be tried.
        let Some(mut taken) = sides.take() else { return Ok(()) };
        let played = runtime.block_on(async {
            for side in &mut taken {
                side.clean().await;
            }
            let now = together(&taken);
            let world = World::new(users.clone().map(|user| user.as_str().to_owned()), now.as_micros());
            let game = Game { world, sides: &mut taken, open: Default::default(), stopped: Default::default() };
            game.all(&watches, &steps).await
        });
        sides.set(Some(taken));
        sequences.fetch_add(1, Ordering::Relaxed);
        played.map_err(TestCaseError::fail)
    });
    let calls = sides.take().map_or(0, |[sqlite, postgres]| {
        assert!(result.is_err() || sqlite.calls == postgres.calls, "both are asked the same");
        sqlite.calls
    });
    runtime.block_on(async {
        for subject in both {
            subject.backend.shutdown().await;
        }
    });
    result.map(|()| calls).map_err(|error| error.to_string())
}

#[test]
fn sequences_are_answered_by_both_databases_as_the_model_says() {
    let seed = seed();
    println!("UNIVERSAL_TEST_SEED={seed}");
    let cases = Volume::from_environment().pick(100, 20_000);
    let sequences = AtomicUsize::new(0);
    let results: Vec<_> = thread::scope(|scope| {
        let start = |number| {
            let sequences = &sequences;
            scope.spawn(move || player(seed.wrapping_add(number), cases, sequences))
        };
        let players: Vec<_> = (0..PLAYERS).map(start).collect();
        players.into_iter().map(|player| player.join().expect("a player does not panic")).collect()
    });
    let mut calls = 0;
    for result in results {
        calls += result.unwrap_or_else(|found| panic!("UNIVERSAL_TEST_SEED={seed} repeats this:\n{found}"));
    }
    println!("{calls} calls on each database in {} sequences", sequences.into_inner());
}
