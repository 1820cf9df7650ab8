//! Who may join, send and be seen.

use serde_json::json;

use super::fixture::{Fixture, admin, appear, fresh, join, listen, messages, name, next, open, payload, settled, user};
use crate::{
    caller::Caller,
    conformance::{
        case::Case,
        expect::{check, check_eq, failed, refused},
    },
    error::{Error, ErrorKind},
    id::{TenantId, UserId},
    realtime::{ChannelEvent, ChannelSettings, EventName, Join},
};

pub(super) const CASES: &[Case<Fixture>] = &[
    case!(a_channel_without_rules_is_for_administrators),
    case!(a_users_own_channel_is_the_users),
    case!(who_may_join_may_not_send_for_that),
    case!(who_may_join_may_not_be_seen_for_that),
    case!(rules_know_the_channel_and_the_caller),
    case!(an_anonymous_caller_joins_where_the_rule_says_so),
    case!(a_change_of_rules_ends_who_may_no_longer_be_there),
    case!(another_caller_may_no_longer_be_there),
    case!(rules_are_set_by_version),
    case!(rules_are_for_administrators),
    case!(a_tenant_that_is_not_there_has_no_channels),
];

async fn a_channel_without_rules_is_for_administrators(on: Fixture) -> Result<(), String> {
    let (channel, _) = fresh()?;
    let there = |caller: Caller| {
        let (on, channel) = (on.clone(), channel.clone());
        async move { on.two.join(&caller, Join::to(channel)).await }
    };
    refused(there(user()).await, ErrorKind::Forbidden, "channel-forbidden")?;
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    refused(there(anonymous).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    there(user().with_roles(["admin"])).await.map_err(failed)?;
    there(admin()).await.map_err(failed)?;
    let event = EventName::new("e").map_err(failed)?;
    let sent = on.two.send(&user(), &channel, event, payload(&json!(1))?).await;
    refused(sent, ErrorKind::Forbidden, "channel-forbidden")
}

async fn a_users_own_channel_is_the_users(on: Fixture) -> Result<(), String> {
    let id = UserId::generate();
    let owner = Caller::user(TenantId::default_tenant(), id.clone());
    for channel in [format!("user:{id}"), format!("user:{id}/inbox")] {
        let channel = name(&channel)?;
        let own = Join::to(channel.clone()).with_presence(payload(&json!("mine"))?).with_echo();
        let mut own = join(&on.two, &owner, own).await?;
        own.send("e", &1).await.map_err(failed)?;
        check_eq(&messages(&mut own, 1).await?, &vec!["e 1".to_owned()])?;
        let theirs = on.one.join(&user(), Join::to(channel)).await;
        refused(theirs, ErrorKind::Forbidden, "channel-forbidden")?;
    }
    let alike = on.one.join(&owner, Join::to(name(&format!("user:{id}0"))?)).await;
    refused(alike, ErrorKind::Forbidden, "channel-forbidden")
}

async fn who_may_join_may_not_send_for_that(on: Fixture) -> Result<(), String> {
    let (channel, pattern) = fresh()?;
    let rules = ChannelSettings::new().with_join("true").with_send("'speaker' in caller.roles");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    let mut listener = join(&on.one, &user(), Join::to(channel.clone())).await?;
    refused(listener.send("e", &1).await, ErrorKind::Forbidden, "channel-forbidden")?;
    let speaker = join(&on.one, &user().with_roles(["speaker"]), Join::to(channel)).await?;
    speaker.send("e", &2).await.map_err(failed)?;
    check_eq(&messages(&mut listener, 1).await?, &vec!["e 2".to_owned()])
}

async fn who_may_join_may_not_be_seen_for_that(on: Fixture) -> Result<(), String> {
    let (channel, pattern) = fresh()?;
    let rules = ChannelSettings::new().with_join("true").with_presence("has(caller.id)");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    let seen = Join::to(channel.clone()).with_presence(payload(&json!(1))?);
    refused(on.one.join(&anonymous, seen).await, ErrorKind::Unauthenticated, "sign-in-required")?;
    let unseen = join(&on.one, &anonymous, Join::to(channel.clone())).await?;
    let appears = unseen.set_presence(Some(payload(&json!(1))?)).await;
    refused(appears, ErrorKind::Unauthenticated, "sign-in-required")?;
    appear(&on.one, &channel, 1).await.map(|_| ())
}

async fn rules_know_the_channel_and_the_caller(on: Fixture) -> Result<(), String> {
    let (channel, pattern) = fresh()?;
    let kind = channel.as_str().split(':').next().unwrap_or_default();
    let rules = ChannelSettings::new().with_join("caller.id in channel.segments && channel.name.startsWith('k')");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    let (ann, ben) = (UserId::generate(), UserId::generate());
    let theirs = name(&format!("{kind}:{ann}/{ben}"))?;
    for id in [ann, ben] {
        let caller = Caller::user(TenantId::default_tenant(), id);
        join(&on.one, &caller, Join::to(theirs.clone())).await?;
    }
    refused(on.one.join(&user(), Join::to(theirs)).await, ErrorKind::Forbidden, "channel-forbidden")
}

async fn an_anonymous_caller_joins_where_the_rule_says_so(on: Fixture) -> Result<(), String> {
    let (channel, pattern) = fresh()?;
    let rules = ChannelSettings::new().with_join("true").with_presence("true");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    let anonymous = Caller::anonymous(TenantId::default_tenant());
    let wanted = Join::to(channel).with_presence(payload(&json!("guest"))?);
    let mut guest = join(&on.one, &anonymous, wanted).await?;
    match next(&mut guest).await? {
        ChannelEvent::Sync(members) => check(members.iter().all(|member| member.user.is_none()), "a guest is nobody"),
        other => Err(format!("{other:?} came first")),
    }
}

/// Listens until it is over.
async fn over(joined: &mut crate::realtime::Joined) -> Result<Error, String> {
    loop {
        let event = tokio::time::timeout(std::time::Duration::from_secs(30), joined.next()).await;
        if let Err(error) = event.map_err(|_| "it is not over".to_owned())? {
            return Ok(error);
        }
    }
}

async fn a_change_of_rules_ends_who_may_no_longer_be_there(on: Fixture) -> Result<(), String> {
    let channel = open(&on).await?;
    let kind = channel.as_str().split(':').next().unwrap_or_default();
    let pattern = format!("{kind}:*").parse().map_err(failed)?;
    let mut staff = join(&on.two, &user().with_roles(["staff"]), Join::to(channel.clone())).await?;
    let mut seen = Vec::new();
    for node in [&on.one, &on.two] {
        seen.push(appear(node, &channel, 1).await?);
    }
    let mut roll = super::fixture::Roll::default();
    roll.until(&mut staff, &["1", "1"]).await?;
    let rules = ChannelSettings::new().with_join("'staff' in caller.roles").with_send("true");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    for joined in &mut seen {
        check_eq(&over(joined).await?.code(), &"channel-forbidden")?;
        check_eq(&over(joined).await?.code(), &"channel-forbidden")?;
        refused(joined.send("e", &1).await, ErrorKind::Forbidden, "channel-forbidden")?;
    }
    // Who may stay sees them leave.
    roll.until(&mut staff, &[]).await?;
    settled(|| async { staff.send("e", &1).await.is_ok() }).await
}

async fn another_caller_may_no_longer_be_there(on: Fixture) -> Result<(), String> {
    let (channel, pattern) = fresh()?;
    let rules = ChannelSettings::new().with_join("'staff' in caller.roles").with_presence("true");
    on.one.configure(&admin(), &pattern, rules, None).await.map_err(failed)?;
    let caller = user().with_roles(["staff"]);
    let mut joined = join(&on.one, &caller, Join::to(channel)).await?;
    let speaker = joined.speaker();
    speaker.become_caller(caller.clone().with_roles(["staff", "boss"])).await.map_err(failed)?;
    let demoted = speaker.become_caller(caller.with_roles(["guest"])).await;
    refused(demoted, ErrorKind::Forbidden, "channel-forbidden")?;
    check_eq(&over(&mut joined).await?.code(), &"channel-forbidden")
}

async fn rules_are_set_by_version(on: Fixture) -> Result<(), String> {
    let (_, pattern) = fresh()?;
    let rules = |text: &str| ChannelSettings::new().with_join(text);
    let first = on.one.configure(&admin(), &pattern, rules("true"), Some(0)).await.map_err(failed)?;
    let again = on.two.configure(&admin(), &pattern, rules("false"), Some(0)).await;
    refused(again, ErrorKind::PreconditionFailed, "stale-settings")?;
    let second = on.two.configure(&admin(), &pattern, rules("false"), Some(first.version)).await.map_err(failed)?;
    check(second.version != first.version, "a change has another version")?;
    check_eq(&on.one.settings(&admin(), &pattern).await.map_err(failed)?, &second)?;
    let listed = on.two.configured(&admin()).await.map_err(failed)?;
    check(listed.contains(&second), "what is set is listed")?;
    check(listed.iter().zip(listed.iter().skip(1)).all(|(one, next)| one.pattern < next.pattern), "in order")?;
    let stale = on.one.unconfigure(&admin(), &pattern, Some(first.version)).await;
    refused(stale, ErrorKind::PreconditionFailed, "stale-settings")?;
    on.one.unconfigure(&admin(), &pattern, Some(second.version)).await.map_err(failed)?;
    let gone = on.one.unconfigure(&admin(), &pattern, None).await;
    refused(gone, ErrorKind::NotFound, "channel-rules-not-found")?;
    refused(on.two.settings(&admin(), &pattern).await, ErrorKind::NotFound, "channel-rules-not-found")?;
    let wrong = on.one.configure(&admin(), &pattern, rules("doc.a == 1"), None).await;
    refused(wrong, ErrorKind::Invalid, "invalid-rule")
}

async fn rules_are_for_administrators(on: Fixture) -> Result<(), String> {
    let (_, pattern) = fresh()?;
    let caller = user();
    let required = "admin-required";
    refused(on.one.configured(&caller).await, ErrorKind::Forbidden, required)?;
    refused(on.one.settings(&caller, &pattern).await, ErrorKind::Forbidden, required)?;
    let set = on.one.configure(&caller, &pattern, ChannelSettings::new(), None).await;
    refused(set, ErrorKind::Forbidden, required)?;
    refused(on.one.unconfigure(&caller, &pattern, None).await, ErrorKind::Forbidden, required)
}

async fn a_tenant_that_is_not_there_has_no_channels(on: Fixture) -> Result<(), String> {
    let nowhere = Caller::system(TenantId::new("nowhere").map_err(failed)?);
    let (channel, pattern) = fresh()?;
    refused(on.one.join(&nowhere, Join::to(channel)).await, ErrorKind::NotFound, "tenant-not-found")?;
    let set = on.one.configure(&nowhere, &pattern, ChannelSettings::new(), None).await;
    refused(set, ErrorKind::NotFound, "tenant-not-found")?;
    listen(&on.one, &open(&on).await?).await.map(|_| ())
}
