//! What is hidden from a caller changes nothing that the caller is told: two collections that differ in hidden values alone
//! answer every sequence of calls alike.

use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::json;
use tokio::runtime::Runtime;
use universal_core::{
    Caller, TenantId,
    id::{CollectionName, UserId},
};
use universal_tests::environment::Volume;

use super::{
    drawn::{Call, Step, When, Who, Write, steps},
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
    let callers = [
        Caller::user(TenantId::default_tenant(), UserId::generate()),
        Caller::user(TenantId::default_tenant(), UserId::generate()),
        Caller::system(TenantId::default_tenant()),
    ];
    let config = Config {
        cases: Volume::from_environment().pick(25, 2_000),
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let number = std::cell::Cell::new(0);
    let result = runner.run(&steps(30), |steps| {
        number.set(number.get() + 1);
        runtime.block_on(async {
            let mut players = Vec::new();
            for side in ["left", "right"] {
                let name = CollectionName::new(format!("{side}{}", number.get())).unwrap();
                players.push(player(&subject, &callers, &name).await);
            }
            let [left, right] = &mut players[..] else { panic!("there are two") };
            for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
                let body = |secret: i64| json!({"n": at, "public": true, "tags": ["a"], "secret": secret});
                let create =
                    |secret| Step { who: Who::System, call: Call::Write(Write::Create(Some(id), body(secret))) };
                let made = [left.play(&create(1)).await, right.play(&create(7 - i64::try_from(at).unwrap())).await];
                prop_assert!(made.iter().all(|answer| answer["created"] == true), "{made:?}");
                // The owner of the following steps may write it, the hidden value stays.
                let patch =
                    |who| Step { who, call: Call::Write(Write::Patch(id, json!({"text": "abc"}), When::Always)) };
                prop_assert_eq!(left.play(&patch(Who::Owner)).await, right.play(&patch(Who::Owner)).await);
            }
            for (at, step) in steps.iter().enumerate() {
                // Whoever administrates sees what is hidden.
                let who = if matches!(step.who, Who::Other) { Who::Other } else { Who::Owner };
                let step = Step { who, call: step.call.clone() };
                let answers = [left.play(&step).await, right.play(&step).await];
                prop_assert_eq!(&answers[0], &answers[1], "step {} {:?}", at, step);
            }
            Ok(())
        })
    });
    runtime.block_on(subject.backend.shutdown());
    result.unwrap_or_else(|error| panic!("{error}"));
}
