//! Tickets for event streams.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::{
    caller::Caller,
    conformance::auth::fixture::{AuthFixture, Checked, cases, ensure, ensure_error},
    error::{ErrorKind, Result},
    id::TenantId,
};

cases![
    a_ticket_gives_the_token_to_one_stream,
    a_ticket_waits_thirty_seconds_for_its_first_use,
    a_used_ticket_is_good_for_reconnects,
    of_two_first_uses_for_two_streams_one_is_refused,
    the_twenty_first_ticket_ends_the_oldest,
    nobody_gets_a_ticket_for_nobody,
];

fn refused<T>(outcome: Result<T>, what: &str) -> Checked {
    ensure_error(outcome, ErrorKind::Unauthenticated, "invalid-ticket", what)
}

/// A ticket of a new account, and the token that it stands for.
async fn ticket(on: &AuthFixture) -> Result<(String, String)> {
    let signed_in = on.register().await?;
    let caller = on.caller(&signed_in).await?;
    let ticket = on.auth.issue_ticket(&caller, &signed_in.access_token).await?;
    Ok((ticket.expose_secret().to_owned(), signed_in.access_token.expose_secret().to_owned()))
}

async fn a_ticket_gives_the_token_to_one_stream(on: AuthFixture) -> Checked {
    let (ticket, token) = ticket(&on).await?;
    let redeemed = on.auth.redeem_ticket(&ticket, "todos").await?;
    ensure(redeemed.expose_secret() == token, "another token")?;
    on.auth.authenticate(None, redeemed.expose_secret()).await?;
    refused(on.auth.redeem_ticket(&ticket, "notes").await, "a ticket for another stream")?;
    let altered = format!("{ticket}A");
    refused(on.auth.redeem_ticket(&altered, "todos").await, "an altered ticket")?;
    refused(on.auth.redeem_ticket("abc", "todos").await, "no ticket at all")
}

async fn a_ticket_waits_thirty_seconds_for_its_first_use(on: AuthFixture) -> Checked {
    let ((early, _), (late, _)) = (ticket(&on).await?, ticket(&on).await?);
    on.clock.advance(Duration::from_secs(29));
    on.auth.redeem_ticket(&early, "todos").await?;
    on.clock.advance(Duration::from_secs(2));
    refused(on.auth.redeem_ticket(&late, "todos").await, "a ticket that was not used in time")
}

async fn a_used_ticket_is_good_for_reconnects(on: AuthFixture) -> Checked {
    let (ticket, token) = ticket(&on).await?;
    on.auth.redeem_ticket(&ticket, "todos").await?;
    on.clock.advance(Duration::from_secs(14 * 60));
    let redeemed = on.auth.redeem_ticket(&ticket, "todos").await?;
    ensure(redeemed.expose_secret() == token, "another token")?;
    on.clock.advance(Duration::from_secs(3 * 60));
    refused(on.auth.redeem_ticket(&ticket, "todos").await, "a ticket whose token has ended")
}

async fn of_two_first_uses_for_two_streams_one_is_refused(on: AuthFixture) -> Checked {
    for _ in 0..20 {
        let (ticket, _) = ticket(&on).await?;
        let (one, two) = tokio::join!(on.auth.redeem_ticket(&ticket, "one"), on.auth.redeem_ticket(&ticket, "two"));
        ensure(one.is_ok() != two.is_ok(), "a ticket was first used for two streams, or for none")?;
    }
    Ok(())
}

async fn the_twenty_first_ticket_ends_the_oldest(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let caller = on.caller(&signed_in).await?;
    let mut tickets = Vec::new();
    for _ in 0..21 {
        on.clock.advance(Duration::from_millis(1));
        tickets.push(on.auth.issue_ticket(&caller, &signed_in.access_token).await?);
    }
    for (place, ticket) in tickets.iter().enumerate() {
        let outcome = on.auth.redeem_ticket(ticket.expose_secret(), "todos").await;
        match place {
            0 => refused(outcome, "the oldest of 21 tickets")?,
            _ => drop(outcome?),
        }
    }
    Ok(())
}

async fn nobody_gets_a_ticket_for_nobody(on: AuthFixture) -> Checked {
    let caller = Caller::anonymous(TenantId::default_tenant());
    let outcome = on.auth.issue_ticket(&caller, &"abc".into()).await;
    ensure(outcome.is_err_and(|error| error.kind() == ErrorKind::Unauthenticated), "a ticket for nobody")
}
