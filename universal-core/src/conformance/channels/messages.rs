//! Messages: to whom, in which order, and what is lost.

use serde_json::json;

use super::fixture::{Fixture, admin, fresh, join, listen, messages, next, open, payload, user};
use crate::{
    caller::Caller,
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    realtime::{ChannelEvent, EventName, Join},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_message_reaches_all_who_joined_on_every_node_in_order),
    case!(a_message_says_who_sent_it),
    case!(a_sender_hears_itself_only_if_it_wants_to),
    case!(a_message_reaches_nobody_who_did_not_join_or_left),
    case!(a_message_stays_in_its_tenant),
    case!(the_program_sends_without_joining),
    case!(a_slow_listener_is_told_what_it_lost),
    case!(too_long_messages_and_names_are_refused),
    case!(who_left_says_nothing_more),
    case!(dropping_next_loses_nothing),
];

fn event(text: &str) -> Result<EventName, String> {
    EventName::new(text).map_err(failed)
}

async fn a_message_reaches_all_who_joined_on_every_node_in_order(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut listeners = Vec::new();
    for node in [&on.one, &on.one, &on.two, &on.mortal] {
        listeners.push(listen(node, &channel).await?);
    }
    let sender = join(&on.two, &user(), Join::to(channel)).await?;
    for n in 0..50 {
        sender.send("count", &n).await.map_err(failed)?;
    }
    let expected: Vec<_> = (0..50).map(|n| format!("count {n}")).collect();
    for listener in &mut listeners {
        check_eq(&messages(listener, 50).await?, &expected)?;
    }
    Ok(())
}

async fn a_message_says_who_sent_it(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut listener = listen(&on.one, &channel).await?;
    let caller = user();
    let sender = join(&on.two, &caller, Join::to(channel)).await?;
    sender.send("e", &json!({"b": [1.0, "ä\""], "a": null})).await.map_err(failed)?;
    match next(&mut listener).await? {
        ChannelEvent::Message(message) => {
            check_eq(&message.payload.as_str(), &r#"{"a":null,"b":[1,"ä\""]}"#)?;
            check_eq(&message.from.as_ref(), &caller.user_id())?;
            check_eq(&message.key.as_ref(), &Some(sender.key()))
        }
        other => Err(format!("{other:?} came")),
    }
}

async fn a_sender_hears_itself_only_if_it_wants_to(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut silent = listen(&on.one, &channel).await?;
    let mut echoing = join(&on.one, &user(), Join::to(channel.clone()).with_echo()).await?;
    silent.send("e", &1).await.map_err(failed)?;
    echoing.send("e", &2).await.map_err(failed)?;
    check_eq(&messages(&mut echoing, 2).await?, &vec!["e 1".to_owned(), "e 2".to_owned()])?;
    check_eq(&messages(&mut silent, 1).await?, &vec!["e 2".to_owned()])
}

async fn a_message_reaches_nobody_who_did_not_join_or_left(on: Fixture) -> Result<(), String> {
    let (channel, other) = (open(&on).await?, open(&on).await?);
    let mut elsewhere = listen(&on.one, &other).await?;
    let mut gone = listen(&on.one, &channel).await?;
    let sender = listen(&on.two, &channel).await?;
    let mark = listen(&on.two, &other).await?;
    gone.speaker().leave();
    sender.send("e", &1).await.map_err(failed)?;
    mark.send("e", &2).await.map_err(failed)?;
    check_eq(&messages(&mut elsewhere, 1).await?, &vec!["e 2".to_owned()])?;
    refused(gone.next().await, ErrorKind::Conflict, "channel-left")
}

async fn a_message_stays_in_its_tenant(on: Fixture) -> Result<(), String> {
    let (channel, _) = fresh()?;
    let stranger = Caller::system(on.other_tenant.clone());
    let mut theirs = join(&on.two, &stranger, Join::to(channel.clone())).await?;
    let ours = join(&on.one, &admin(), Join::to(channel.clone()).with_presence(payload(&json!(1))?)).await?;
    ours.send("ours", &1).await.map_err(failed)?;
    on.one.send(&stranger, &channel, event("theirs")?, payload(&json!(2))?).await.map_err(failed)?;
    match next(&mut theirs).await? {
        ChannelEvent::Sync(members) => check(members.is_empty(), "another tenant's member is seen")?,
        other => return Err(format!("{other:?} came first")),
    }
    match next(&mut theirs).await? {
        ChannelEvent::Message(message) => check_eq(&message.event.as_str(), &"theirs"),
        other => Err(format!("{other:?} came")),
    }
}

async fn the_program_sends_without_joining(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut listener = listen(&on.two, &channel).await?;
    on.one.send(&admin(), &channel, event("e")?, payload(&json!("hello"))?).await.map_err(failed)?;
    match next(&mut listener).await? {
        ChannelEvent::Message(message) => {
            check_eq(&(message.from.clone(), message.key.clone()), &(None, None))?;
            check_eq(&message.payload.as_str(), &"\"hello\"")
        }
        other => Err(format!("{other:?} came")),
    }
}

async fn a_slow_listener_is_told_what_it_lost(on: Fixture) -> Result<(), String> {
    const SENT: u64 = 60;
    let channel = open(&on).await?;
    let mut slow = listen(&on.two, &channel).await?;
    let mut quick = listen(&on.two, &channel).await?;
    let sender = join(&on.one, &user(), Join::to(channel)).await?;
    let filling = "x".repeat(10_000);
    for n in 0..SENT {
        sender.send("e", &json!([n, filling])).await.map_err(failed)?;
        // Whoever keeps up loses nothing; and now everything has arrived.
        messages(&mut quick, 1).await?;
    }
    let missed = match next(&mut slow).await? {
        ChannelEvent::Lagged { missed } => missed,
        other => return Err(format!("{other:?} came")),
    };
    check(missed > SENT / 3, "a queue of a quarter of a MiB holds no more")?;
    for n in missed..SENT {
        let seen = messages(&mut slow, 1).await?;
        let begins = format!("e [{n},");
        check(seen.iter().all(|seen| seen.starts_with(&begins)), "another message than the next came")?;
    }
    Ok(())
}

async fn too_long_messages_and_names_are_refused(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut listener = listen(&on.two, &channel).await?;
    let sender = join(&on.one, &user(), Join::to(channel.clone())).await?;
    let long = "x".repeat(64 * 1024);
    refused(sender.send("e", &long).await, ErrorKind::TooLarge, "message-too-large")?;
    refused(sender.send("", &1).await, ErrorKind::Invalid, "invalid-event")?;
    refused(sender.send(&"e".repeat(65), &1).await, ErrorKind::Invalid, "invalid-event")?;
    let state = payload(&json!("x".repeat(4 * 1024)))?;
    let too_much = on.one.join(&user(), Join::to(channel).with_presence(state.clone())).await;
    refused(too_much, ErrorKind::TooLarge, "presence-too-large")?;
    refused(sender.set_presence(Some(state)).await, ErrorKind::TooLarge, "presence-too-large")?;
    // The longest of all goes through.
    let (name, most) = ("\"".repeat(64), long.get(2..).unwrap_or_default());
    sender.send(&name, &most).await.map_err(failed)?;
    let seen = messages(&mut listener, 1).await?;
    check(seen.iter().all(|seen| seen.len() == 64 + 1 + 64 * 1024), "it came another way than it went")
}

async fn who_left_says_nothing_more(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let joined = join(&on.one, &user(), Join::to(channel)).await?;
    let speaker = joined.speaker();
    drop(joined);
    refused(speaker.send("e", &1).await, ErrorKind::Conflict, "channel-left")?;
    refused(speaker.set_presence(Some(payload(&json!(1))?)).await, ErrorKind::Conflict, "channel-left")
}

async fn dropping_next_loses_nothing(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut listener = listen(&on.two, &channel).await?;
    let sender = join(&on.one, &user(), Join::to(channel)).await?;
    let send = async {
        for n in 0..200 {
            sender.send("e", &n).await.map_err(failed)?;
            tokio::task::yield_now().await;
        }
        Ok::<_, String>(())
    };
    let hear = async {
        let mut seen = Vec::new();
        while seen.len() < 200 {
            // Dropped again and again before, and after, there is something.
            let _ = futures_util::FutureExt::now_or_never(listener.next()).map(|event| seen.push(event));
            tokio::task::yield_now().await;
        }
        for (n, event) in seen.into_iter().enumerate() {
            match event.map_err(failed)? {
                ChannelEvent::Message(message) => check_eq(&message.payload.as_str(), &n.to_string().as_str())?,
                other => return Err(format!("{other:?} came")),
            }
        }
        Ok(())
    };
    futures_util::future::try_join(send, hear).await.map(|_| ())
}
