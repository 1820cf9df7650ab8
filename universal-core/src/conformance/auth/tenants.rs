//! Tenants that are disabled.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use crate::{
    auth::session::{Login, Registration, SignedIn},
    conformance::auth::fixture::{AuthFixture, Checked, Failure, PASSWORD, cases, ensure, ensure_error, new_email},
    error::{ErrorKind, Result},
};

cases![a_disabled_tenant_lets_nobody_in, an_enabled_tenant_has_its_sessions_again];

/// After how long every node has noticed.
const NOTICED: Duration = Duration::from_secs(5);

async fn registered_elsewhere(on: &AuthFixture) -> Result<SignedIn> {
    let registration = Registration::new(new_email()?, PASSWORD.to_owned());
    on.auth.register(&on.elsewhere(), registration).await
}

async fn a_disabled_tenant_lets_nobody_in(on: AuthFixture) -> Checked {
    let (signed_in, here) = (registered_elsewhere(&on).await?, on.register().await?);
    let caller = on.auth.authenticate(None, signed_in.access_token.expose_secret()).await?;
    (on.disable_other)(true).await?;
    let found = nobody_comes_in(&on, &signed_in).await;
    let me = on.auth.me(&caller).await;
    let beside = on.caller(&here).await;
    (on.disable_other)(false).await?;
    on.clock.advance(NOTICED);
    found?;
    ensure_error(me, ErrorKind::Unauthenticated, "unauthenticated", "oneself")?;
    beside.map(drop).map_err(Failure::from)
}

async fn nobody_comes_in(on: &AuthFixture, signed_in: &SignedIn) -> Checked {
    let (there, address) = (on.elsewhere(), signed_in.user.email.as_str());
    let registration = Registration::new(new_email()?, PASSWORD.to_owned());
    let register = on.auth.register(&there, registration).await;
    let login = on.auth.login(&there, Login::new(address, PASSWORD.to_owned())).await;
    let refresh = on.auth.refresh(&there, &signed_in.refresh_token).await;
    for (outcome, what) in [(register, "registering"), (login, "logging in"), (refresh, "refreshing")] {
        ensure_error(outcome, ErrorKind::Forbidden, "tenant-disabled", what)?;
    }
    let guess = on.auth.login(&there, Login::new(address, "a different password".to_owned())).await;
    ensure_error(guess, ErrorKind::Unauthenticated, "invalid-credentials", "who has no password learns nothing")?;
    on.clock.advance(NOTICED);
    let token = on.auth.authenticate(None, signed_in.access_token.expose_secret()).await;
    ensure_error(token, ErrorKind::Forbidden, "tenant-disabled", "an access token")
}

async fn an_enabled_tenant_has_its_sessions_again(on: AuthFixture) -> Checked {
    let signed_in = registered_elsewhere(&on).await?;
    (on.disable_other)(true).await?;
    on.clock.advance(NOTICED);
    let refused = on.auth.refresh(&on.elsewhere(), &signed_in.refresh_token).await;
    (on.disable_other)(false).await?;
    on.clock.advance(NOTICED);
    ensure(refused.is_err(), "a session of a disabled tenant was refreshed")?;
    on.auth.authenticate(None, signed_in.access_token.expose_secret()).await?;
    on.auth.refresh(&on.elsewhere(), &signed_in.refresh_token).await?;
    Ok(())
}
