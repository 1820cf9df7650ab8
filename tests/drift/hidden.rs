//! What is hidden from a caller changes nothing that the caller is told: two collections that differ in hidden values alone
//! answer every sequence of calls alike.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;
use universal_core::{error::ErrorKind, id::CollectionName, realtime::Subscription};
use universal_tests::environment::Volume;

use super::{
    drawn::{Call, Step, When, Who, Write, steps},
    player::{Player, callers},
    sequences::player,
};
use crate::conformance::subject::{On, subject};

#[test]
fn hidden_values_show_in_no_answer_on_sqlite() {
    answers_do_not_tell(On::Sqlite);
}

#[test]
fn hidden_values_show_in_no_answer_on_postgresql() {
    answers_do_not_tell(On::Postgres);
}

fn answers_do_not_tell(on: On) {
    let runtime = Runtime::new().unwrap();
    let subject = runtime.block_on(subject(on));
    let callers = callers();
    let config = Config {
        cases: Volume::from_environment().pick(60, 2_000),
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (number, deliveries) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let result = runner.run(&steps(30), |steps| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let mut players = Vec::new();
            for side in ["left", "right"] {
                let name = CollectionName::new(format!("{side}{}", number.get())).unwrap();
                players.push(player(&subject, &callers, &name).await);
            }
            let [left, right] = &mut players[..] else { panic!("there are two") };
            for filter in HIDDEN_FILTERS {
                for who in [Who::Owner, Who::Other] {
                    for side in [&*left, &*right] {
                        let refused = side.watch(who, Some(filter), false).await;
                        let refused = refused.err().map(|error| (error.kind(), error.code()));
                        prop_assert_eq!(refused, Some((ErrorKind::Invalid, "invalid-field")), "{}", filter);
                    }
                }
            }
            let watching = watch(left, right, false).await;
            for (at, id) in ["a", "b", "c", "d"].into_iter().enumerate() {
                // Two that the owner may write, who must keep a value that only the program sees; two that may only be read.
                let maker = if at < 2 { Who::Owner } else { Who::System };
                let write = |who, write| Step { who, call: Call::Write(write) };
                let own = json!({"n": at + 1, "public": true, "tags": ["a"]});
                let create = write(maker, Write::Create(Some(id), own));
                let hide = |secret| write(Who::System, Write::Patch(id, json!({"secret": secret}), When::Always));
                let change = write(maker, Write::Patch(id, json!({"text": "abc"}), When::Always));
                for step in [[&create, &create], [&hide(1), &hide(7 - at)], [&change, &change]] {
                    let answers = [left.play(step[0]).await, right.play(step[1]).await];
                    prop_assert!(answers.iter().all(|answer| answer["code"].is_null()), "{answers:?}");
                }
                let hidden = [left.everything().await, right.everything().await];
                let secret = |side: usize| hidden[side][id]["secret"].clone();
                prop_assert_eq!([secret(0), secret(1)], [json!(1), json!(7 - at)]);
            }
            for (at, step) in steps.iter().enumerate() {
                // Whoever administrates sees what is hidden.
                let who = if matches!(step.who, Who::Other) { Who::Other } else { Who::Owner };
                let step = Step { who, call: step.call.clone() };
                let answers = [left.play(&step).await, right.play(&step).await];
                prop_assert_eq!(&answers[0], &answers[1], "step {} {:?}", at, step);
            }
            let last = left.last().await.max(right.last().await);
            let replaying = watch(left, right, true).await;
            for (mut here, mut there) in watching.into_iter().chain(replaying) {
                let told = (left.told(&mut here, last).await, right.told(&mut there, last).await);
                prop_assert_eq!(&told.0, &told.1, "what subscribers are told");
                deliveries.set(deliveries.get() + told.0.len());
            }
            Ok(())
        })
    });
    runtime.block_on(subject.backend.shutdown());
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(deliveries.get() > 0, "subscribers were told nothing");
    println!("{} events were the same", deliveries.get());
}

/// Filters that ask for what is hidden.
const HIDDEN_FILTERS: [&str; 6] = [
    "secret == 1",
    "has(doc.secret)",
    "doc[\"secret\"] > 0",
    "secret.x == 1",
    "public == true || secret in [1, 2]",
    "size(doc.secret) > 0 && n > 1",
];

/// The same subscriptions to both.
async fn watch(left: &Player, right: &Player, from_begin: bool) -> Vec<(Subscription, Subscription)> {
    let mut watching = Vec::new();
    for who in [Who::Owner, Who::Other] {
        for filter in [None, Some("public == true"), Some("!has(doc.n) || n > 1")] {
            let here = left.watch(who, filter, from_begin).await.unwrap();
            watching.push((here, right.watch(who, filter, from_begin).await.unwrap()));
        }
    }
    watching
}
