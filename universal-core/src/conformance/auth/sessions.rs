//! Refresh tokens and the end of sessions.

use std::time::Duration;

use secrecy::SecretString;

use crate::{
    auth::session::SignedIn,
    conformance::auth::fixture::{AuthFixture, Checked, PASSWORD, cases, ensure, ensure_error, refresh_text},
    error::{ErrorKind, Result},
};

cases![
    a_refresh_gives_new_tokens_of_the_same_session,
    a_parent_gives_the_same_successor_within_the_grace,
    fifty_parallel_refreshes_give_one_successor,
    reuse_after_the_grace_revokes_the_family,
    no_descendant_survives_a_race_with_reuse,
    reuse_ends_no_other_session,
    a_refresh_token_is_good_in_its_tenant_only,
    a_malformed_refresh_token_is_refused,
    a_session_ends_when_it_is_idle,
    a_session_ends_after_its_lifetime,
    logging_out_ends_the_session,
    a_refresh_token_alone_logs_out,
    logging_out_without_a_session_is_refused,
    the_fifty_first_session_ends_the_oldest,
];

fn refused<T>(outcome: Result<T>, what: &str) -> Checked {
    ensure_error(outcome, ErrorKind::Unauthenticated, "invalid-refresh-token", what)
}

async fn a_refresh_gives_new_tokens_of_the_same_session(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let second = on.refresh(&first.refresh_token).await?;
    ensure(refresh_text(&first) != refresh_text(&second), "the refresh token stayed the same")?;
    ensure(first.user.id == second.user.id, "another account")?;
    let (one, two) = (on.caller(&first).await?, on.caller(&second).await?);
    ensure(one.session() == two.session(), "another session")?;
    let third = on.refresh(&second.refresh_token).await?;
    ensure(refresh_text(&third) != refresh_text(&second), "the second refresh token stayed the same")
}

async fn a_parent_gives_the_same_successor_within_the_grace(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let second = on.refresh(&first.refresh_token).await?;
    on.clock.advance(Duration::from_millis(9_900));
    let again = on.refresh(&first.refresh_token).await?;
    ensure(refresh_text(&second) == refresh_text(&again), "two successors of one token")?;
    on.caller(&again).await?;
    on.refresh(&second.refresh_token).await?;
    Ok(())
}

async fn fifty_parallel_refreshes_give_one_successor(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let mut successors = Vec::new();
    for outcome in parallel(&on, &first, 50).await? {
        successors.push(refresh_text(&outcome?).to_owned());
    }
    successors.dedup();
    ensure(successors.len() == 1, "several successors of one token")?;
    let next = on.refresh(&SecretString::from(successors.concat())).await?;
    on.caller(&next).await?;
    Ok(())
}

async fn reuse_after_the_grace_revokes_the_family(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let second = on.refresh(&first.refresh_token).await?;
    let third = on.refresh(&second.refresh_token).await?;
    on.clock.advance(Duration::from_secs(10));
    refused(on.refresh(&first.refresh_token).await, "a token used long ago")?;
    for descendant in [&first, &second, &third] {
        refused(on.refresh(&descendant.refresh_token).await, "a token of a family with a thief")?;
        let access = on.caller(descendant).await;
        ensure_error(access, ErrorKind::Unauthenticated, "session-ended", "an access token of that family")?;
    }
    on.login(first.user.email.as_str(), PASSWORD).await?;
    Ok(())
}

async fn no_descendant_survives_a_race_with_reuse(on: AuthFixture) -> Checked {
    for _ in 0..10 {
        let first = on.register().await?;
        let second = on.refresh(&first.refresh_token).await?;
        on.clock.advance(Duration::from_secs(10));
        let thief = tokio::spawn({
            let (on, first) = (on.clone(), first.clone());
            async move { on.refresh(&first.refresh_token).await }
        });
        let racing = parallel(&on, &second, 20).await?;
        refused(thief.await?, "a token used long ago")?;
        for outcome in racing {
            match outcome {
                Ok(descendant) => {
                    refused(on.refresh(&descendant.refresh_token).await, "a descendant that won the race")?;
                    ensure(on.caller(&descendant).await.is_err(), "an access token survived the race")?;
                }
                Err(error) => refused::<()>(Err(error), "a descendant that lost the race")?,
            }
        }
    }
    Ok(())
}

async fn reuse_ends_no_other_session(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let other = on.login(first.user.email.as_str(), PASSWORD).await?;
    on.refresh(&first.refresh_token).await?;
    on.clock.advance(Duration::from_secs(11));
    refused(on.refresh(&first.refresh_token).await, "a token used long ago")?;
    on.caller(&other).await?;
    on.refresh(&other.refresh_token).await?;
    Ok(())
}

async fn a_refresh_token_is_good_in_its_tenant_only(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    refused(on.auth.refresh(&on.elsewhere(), &first.refresh_token).await, "a token of another tenant")?;
    on.auth.logout(&on.elsewhere(), Some(&first.refresh_token)).await?;
    on.refresh(&first.refresh_token).await?;
    Ok(())
}

async fn a_malformed_refresh_token_is_refused(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let good = refresh_text(&first);
    let access = first.access_token.clone();
    refused(on.refresh(&access).await, "an access token")?;
    for bad in [String::new(), "ub_rt_".to_owned(), format!("{good}x"), good.to_uppercase(), "\0".repeat(49)] {
        refused(on.refresh(&bad.into()).await, "a malformed token")?;
    }
    on.refresh(&first.refresh_token).await?;
    Ok(())
}

async fn a_session_ends_when_it_is_idle(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    on.clock.advance(Duration::from_secs(30 * 86_400 - 1));
    let second = on.refresh(&first.refresh_token).await?;
    on.clock.advance(Duration::from_secs(30 * 86_400));
    refused(on.refresh(&second.refresh_token).await, "a token that was idle for 30 days")
}

async fn a_session_ends_after_its_lifetime(on: AuthFixture) -> Checked {
    let mut latest = on.register().await?;
    for _ in 0..4 {
        on.clock.advance(Duration::from_secs(22 * 86_400));
        latest = on.refresh(&latest.refresh_token).await?;
    }
    on.clock.advance(Duration::from_secs(2 * 86_400 - 60));
    let last = on.refresh(&latest.refresh_token).await?;
    ensure(last.expires_in.as_secs() == 60, "an access token outlives its session")?;
    on.clock.advance(Duration::from_secs(60));
    refused(on.refresh(&last.refresh_token).await, "a token of a session of 90 days")
}

async fn logging_out_ends_the_session(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let other = on.login(first.user.email.as_str(), PASSWORD).await?;
    let caller = on.caller(&first).await?;
    on.auth.logout(&caller, None).await?;
    ensure_error(on.caller(&first).await, ErrorKind::Unauthenticated, "session-ended", "an access token")?;
    refused(on.refresh(&first.refresh_token).await, "a refresh token")?;
    on.auth.logout(&caller, None).await?;
    on.auth.logout(&caller, Some(&first.refresh_token)).await?;
    on.caller(&other).await?;
    on.refresh(&other.refresh_token).await?;
    Ok(())
}

async fn a_refresh_token_alone_logs_out(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    on.caller(&first).await?;
    on.auth.logout(&on.anonymous(), Some(&first.refresh_token)).await?;
    ensure_error(on.caller(&first).await, ErrorKind::Unauthenticated, "session-ended", "an access token")?;
    refused(on.refresh(&first.refresh_token).await, "a refresh token")?;
    on.auth.logout(&on.anonymous(), Some(&first.refresh_token)).await?;
    on.auth.logout(&on.anonymous(), Some(&"nonsense".to_owned().into())).await?;
    Ok(())
}

async fn logging_out_without_a_session_is_refused(on: AuthFixture) -> Checked {
    for caller in [on.anonymous(), on.system()] {
        ensure_error(on.auth.logout(&caller, None).await, ErrorKind::Unauthenticated, "unauthenticated", "nobody")?;
    }
    Ok(())
}

async fn the_fifty_first_session_ends_the_oldest(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let email = first.user.email.as_str();
    on.clock.advance(Duration::from_secs(1));
    let second = on.login(email, PASSWORD).await?;
    for _ in 0..48 {
        on.login(email, PASSWORD).await?;
    }
    on.clock.advance(Duration::from_secs(1));
    // Used just now, so the second is the one that was used longest ago.
    let first = on.refresh(&first.refresh_token).await?;
    on.login(email, PASSWORD).await?;
    on.clock.advance(Duration::from_secs(5));
    on.refresh(&first.refresh_token).await?;
    refused(on.refresh(&second.refresh_token).await, "the session that was used longest ago")?;
    ensure_error(on.caller(&second).await, ErrorKind::Unauthenticated, "session-ended", "its access token")
}

async fn parallel(
    on: &AuthFixture,
    of: &SignedIn,
    times: usize,
) -> Result<Vec<Result<SignedIn>>, tokio::task::JoinError> {
    let tasks: Vec<_> = (0..times)
        .map(|_| {
            let (on, token) = (on.clone(), of.refresh_token.clone());
            tokio::spawn(async move { on.refresh(&token).await })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(times);
    for task in tasks {
        outcomes.push(task.await?);
    }
    Ok(outcomes)
}
