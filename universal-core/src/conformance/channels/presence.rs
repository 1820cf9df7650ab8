//! Who is there.

use serde_json::json;

use super::fixture::{Fixture, Roll, appear, join, listen, next, open, payload, user};
use crate::{
    caller::Caller,
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::ErrorKind,
    id::TenantId,
    realtime::{
        ChannelEvent, Join,
        channel::{MAX_MEMBERS, MAX_MEMBERS_BYTES, MAX_MEMBERS_PER_USER},
    },
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(members_come_and_go_on_every_node),
    case!(the_first_event_names_the_members),
    case!(a_member_says_something_else),
    case!(one_user_with_two_pages_is_two_members),
    case!(who_comes_late_gets_to_know_all),
    case!(many_members_are_told_whole),
    case!(a_slow_listener_still_gets_to_know_all),
    case!(a_full_channel_takes_no_more_members),
    case!(one_user_takes_not_all_places),
    case!(all_members_fit_into_one_frame),
    case!(who_becomes_another_tenants_has_left),
    case!(the_members_of_a_dead_node_leave),
];

async fn members_come_and_go_on_every_node(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut watchers = Vec::new();
    for node in [&on.one, &on.two] {
        watchers.push((listen(node, &channel).await?, Roll::default()));
    }
    let (first, second) = (appear(&on.one, &channel, 1).await?, appear(&on.two, &channel, 2).await?);
    let third = appear(&on.mortal, &channel, 3).await?;
    for (watcher, roll) in &mut watchers {
        roll.until(watcher, &["1", "2", "3"]).await?;
    }
    drop(second);
    for (watcher, roll) in &mut watchers {
        roll.until(watcher, &["1", "3"]).await?;
    }
    first.set_presence(None).await.map_err(failed)?;
    third.leave();
    for (watcher, roll) in &mut watchers {
        roll.until(watcher, &[]).await?;
    }
    Ok(())
}

async fn the_first_event_names_the_members(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let caller = user();
    let wanted = Join::to(channel.clone()).with_presence(payload(&json!({"name": "Ann"}))?);
    let mut first = join(&on.one, &caller, wanted).await?;
    let mut second = appear(&on.one, &channel, 2).await?;
    for (joined, count) in [(&mut first, 2), (&mut second, 2)] {
        match next(joined).await? {
            ChannelEvent::Sync(members) => {
                check_eq(&members.len(), &count)?;
                let ann =
                    members.iter().find(|member| member.user.as_ref() == caller.user_id()).ok_or("Ann is there")?;
                check_eq(&ann.state.as_str(), &r#"{"name":"Ann"}"#)?;
            }
            other => return Err(format!("{other:?} came first")),
        }
    }
    check(first.key() != second.key(), "each has a key of its own")
}

async fn a_member_says_something_else(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let (mut here, mut there) = (listen(&on.one, &channel).await?, listen(&on.two, &channel).await?);
    let (mut roll_here, mut roll_there) = (Roll::default(), Roll::default());
    let member = appear(&on.one, &channel, 1).await?;
    roll_here.until(&mut here, &["1"]).await?;
    roll_there.until(&mut there, &["1"]).await?;
    member.set_presence(Some(payload(&json!(2))?)).await.map_err(failed)?;
    // What is the same as before is nothing new.
    member.set_presence(Some(payload(&json!(2))?)).await.map_err(failed)?;
    for joined in [&mut here, &mut there] {
        match next(joined).await? {
            ChannelEvent::Presence(change) => {
                check_eq(&(change.joined.len(), change.updated.len(), change.left.len()), &(0, 1, 0))?;
            }
            other => return Err(format!("{other:?} came")),
        }
    }
    member.send("mark", &1).await.map_err(failed)?;
    for joined in [&mut here, &mut there] {
        check(matches!(next(joined).await?, ChannelEvent::Message(_)), "nothing else changed")?;
    }
    Ok(())
}

async fn one_user_with_two_pages_is_two_members(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let caller = user();
    let mut watcher = listen(&on.two, &channel).await?;
    let mut roll = Roll::default();
    let page = |n: i64| Ok::<_, String>(Join::to(channel.clone()).with_presence(payload(&json!(n))?));
    let first = join(&on.one, &caller, page(1)?).await?;
    let second = join(&on.two, &caller, page(2)?).await?;
    roll.until(&mut watcher, &["1", "2"]).await?;
    drop(first);
    roll.until(&mut watcher, &["2"]).await?;
    drop(second);
    roll.until(&mut watcher, &[]).await
}

async fn who_comes_late_gets_to_know_all(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut members = Vec::new();
    for n in 1..=3 {
        members.push(appear(&on.one, &channel, n).await?);
        members.push(appear(&on.mortal, &channel, n + 3).await?);
    }
    // The second node has had nobody in this channel.
    let mut late = join(&on.two, &user(), Join::to(channel)).await?;
    Roll::default().until(&mut late, &["1", "2", "3", "4", "5", "6"]).await
}

async fn many_members_are_told_whole(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut members = Vec::new();
    let filling = "x".repeat(3_000);
    for n in 0..200 {
        let wanted = Join::to(channel.clone()).with_presence(payload(&json!([n, filling]))?);
        members.push(join(&on.one, &user(), wanted).await?);
    }
    let mut late = join(&on.two, &user(), Join::to(channel)).await?;
    let mut roll = Roll::default();
    while roll.states().len() < 200 {
        roll.hear(&next(&mut late).await?)?;
    }
    drop(members);
    roll.until(&mut late, &[]).await
}

async fn a_slow_listener_still_gets_to_know_all(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut slow = listen(&on.two, &channel).await?;
    let mut quick = listen(&on.two, &channel).await?;
    let mut quick_roll = Roll::default();
    let filling = "x".repeat(3_500);
    let mut members = Vec::new();
    for n in 0..150 {
        let wanted = Join::to(channel.clone()).with_presence(payload(&json!([n, filling]))?);
        members.push(join(&on.one, &user(), wanted).await?);
    }
    while quick_roll.states().len() < 150 {
        quick_roll.hear(&next(&mut quick).await?)?;
    }
    members.truncate(100);
    while quick_roll.states().len() > 100 {
        quick_roll.hear(&next(&mut quick).await?)?;
    }
    let mut roll = Roll::default();
    let event = next(&mut slow).await?;
    check(matches!(event, ChannelEvent::Sync(_)), "it is told anew who is there")?;
    roll.hear(&event)?;
    check_eq(&roll.states(), &quick_roll.states())
}

async fn a_full_channel_takes_no_more_members(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut members = Vec::new();
    for n in 0..MAX_MEMBERS {
        let node = if n % 2 == 0 { &on.one } else { &on.two };
        members.push(appear(node, &channel, 1).await?);
    }
    let mut watcher = listen(&on.one, &channel).await?;
    let mut roll = Roll::default();
    let mut latest = join(&on.one, &user(), Join::to(channel.clone())).await?;
    while roll.states().len() < MAX_MEMBERS {
        roll.hear(&next(&mut latest).await?)?;
    }
    let wanted = Join::to(channel.clone()).with_presence(payload(&json!(1))?);
    refused(on.one.join(&user(), wanted.clone()).await, ErrorKind::Conflict, "presence-full")?;
    let appears = watcher.set_presence(Some(payload(&json!(1))?)).await;
    refused(appears, ErrorKind::Conflict, "presence-full")?;
    // Who is not seen needs no place.
    watcher.send("e", &1).await.map_err(failed)?;
    members.truncate(MAX_MEMBERS - 2);
    let mut states = roll.states().len();
    while states > MAX_MEMBERS - 2 {
        roll.hear(&next(&mut latest).await?)?;
        states = roll.states().len();
    }
    join(&on.one, &user(), wanted).await?;
    while !matches!(next(&mut watcher).await?, ChannelEvent::Presence(_)) {}
    Ok(())
}

async fn the_members_of_a_dead_node_leave(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut watcher = listen(&on.two, &channel).await?;
    let mut roll = Roll::default();
    let (alive, dead) = (appear(&on.one, &channel, 1).await?, appear(&on.mortal, &channel, 2).await?);
    roll.until(&mut watcher, &["1", "2"]).await?;
    (on.cut)();
    roll.until(&mut watcher, &["1"]).await?;
    // Nobody said that it left: it is there to this moment.
    drop(dead);
    drop(alive);
    roll.until(&mut watcher, &[]).await
}

async fn one_user_takes_not_all_places(on: Fixture) -> Result<(), String> {
    let (channel, caller) = (open(&on).await?, user());
    let wanted = || Ok::<_, String>(Join::to(channel.clone()).with_presence(payload(&json!(1))?));
    let mut members = Vec::new();
    for _ in 0..MAX_MEMBERS_PER_USER {
        members.push(join(&on.one, &caller, wanted()?).await?);
    }
    refused(on.one.join(&caller, wanted()?).await, ErrorKind::Conflict, "presence-full")?;
    // It may be there unseen, and others may be seen.
    join(&on.one, &caller, Join::to(channel.clone())).await?;
    join(&on.one, &user(), wanted()?).await?;
    Ok(())
}

async fn all_members_fit_into_one_frame(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let filling = "x".repeat(4_000);
    let mut members = Vec::new();
    for n in 0.. {
        let wanted = Join::to(channel.clone()).with_presence(payload(&json!([n, filling]))?);
        match on.one.join(&user(), wanted).await {
            Ok(member) => members.push(member),
            outcome => {
                refused(outcome, ErrorKind::Conflict, "presence-full")?;
                break;
            }
        }
    }
    check(members.len() * 4_000 > MAX_MEMBERS_BYTES / 2, "a good part of the room is used")?;
    check(members.len() * 4_000 < MAX_MEMBERS_BYTES, "all of them fit")?;
    // Whoever is there may say less, and not more.
    let last = members.last().ok_or("somebody is there")?;
    last.set_presence(Some(payload(&json!(1))?)).await.map_err(failed)
}

async fn who_becomes_another_tenants_has_left(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let mut joined = appear(&on.one, &channel, 1).await?;
    let elsewhere = Caller::system(TenantId::new("elsewhere").map_err(failed)?);
    let refusal = joined.speaker().become_caller(elsewhere).await;
    refused(refusal, ErrorKind::Forbidden, "channel-forbidden")?;
    let ended =
        tokio::time::timeout(std::time::Duration::from_secs(20), async { while joined.next().await.is_ok() {} });
    ended.await.map_err(|_| "it is still there".to_owned())
}
