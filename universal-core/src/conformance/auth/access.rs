//! Access tokens.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::{
    conformance::auth::fixture::{AuthFixture, Checked, Failure, cases, ensure, ensure_error},
    error::ErrorKind,
};

cases![
    a_token_stands_for_its_user_session_and_tenant,
    a_token_of_another_tenant_is_forbidden,
    a_token_ends_with_its_time,
    a_refresh_token_is_no_access_token,
    an_altered_token_is_refused,
    the_key_set_names_the_key_of_a_token,
];

async fn a_token_stands_for_its_user_session_and_tenant(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    for tenant in [None, Some(&on.tenant)] {
        // Once verified, once remembered.
        for _ in 0..2 {
            let caller = on.auth.authenticate(tenant, signed_in.access_token.expose_secret()).await?;
            ensure(caller.user_id() == Some(&signed_in.user.id), "another user")?;
            ensure(caller.tenant() == &on.tenant, "another tenant")?;
            ensure(caller.session().is_some(), "no session")?;
            ensure(!caller.bypasses_rules(), "more rights than a user has")?;
        }
    }
    Ok(())
}

async fn a_token_of_another_tenant_is_forbidden(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    for _ in 0..2 {
        let token = signed_in.access_token.expose_secret();
        let outcome = on.auth.authenticate(Some(&on.other_tenant), token).await;
        ensure_error(outcome, ErrorKind::Forbidden, "tenant-mismatch", "a token of another tenant")?;
        on.caller(&signed_in).await?;
    }
    Ok(())
}

async fn a_token_ends_with_its_time(on: AuthFixture) -> Checked {
    let (known, fresh) = (on.register().await?, on.register().await?);
    on.caller(&known).await?;
    on.clock.advance(known.expires_in + Duration::from_secs(29));
    on.caller(&known).await?;
    on.clock.advance(Duration::from_secs(2));
    for signed_in in [known, fresh] {
        let outcome = on.caller(&signed_in).await;
        ensure_error(outcome, ErrorKind::Unauthenticated, "token-expired", "a token whose time is over")?;
        on.caller(&on.refresh(&signed_in.refresh_token).await?).await?;
    }
    Ok(())
}

async fn a_refresh_token_is_no_access_token(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let outcome = on.auth.authenticate(None, signed_in.refresh_token.expose_secret()).await;
    ensure_error(outcome, ErrorKind::Unauthenticated, "invalid-token", "a refresh token")
}

async fn an_altered_token_is_refused(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let good = signed_in.access_token.expose_secret();
    let [header, claims, signature] = parts(good)?;
    let forged_claims = {
        let mut claims = decode(claims)?;
        if let Some(claims) = claims.as_object_mut() {
            claims.insert("roles".to_owned(), Value::from(vec!["admin"]));
        }
        URL_SAFE_NO_PAD.encode(claims.to_string())
    };
    let unsigned = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
    for bad in [
        String::new(),
        "x".repeat(1 << 20),
        format!("{good} "),
        format!("{good}.{good}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}"),
        format!("{unsigned}.{claims}."),
        format!("{unsigned}.{forged_claims}.{signature}"),
        format!("{header}.{forged_claims}.{signature}"),
    ] {
        let outcome = on.auth.authenticate(None, &bad).await;
        ensure_error(outcome, ErrorKind::Unauthenticated, "invalid-token", bad.get(..80).unwrap_or(&bad))?;
    }
    on.caller(&signed_in).await?;
    Ok(())
}

async fn the_key_set_names_the_key_of_a_token(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let [header, _, _] = parts(signed_in.access_token.expose_secret())?;
    let header = decode(header)?;
    ensure(header.get("alg").is_some_and(|alg| alg == "EdDSA"), "the algorithm is another")?;
    ensure(header.get("typ").is_some_and(|typ| typ == "at+jwt"), "the type is another")?;
    let set = on.auth.jwks();
    ensure(set.keys.iter().any(|key| header.get("kid").is_some_and(|kid| kid == &*key.kid)), "the key is not shown")?;
    let shown = serde_json::to_value(&set).map_err(|error| Failure(error.to_string()))?.to_string();
    ensure(!shown.contains("\"d\""), "a private key is shown")
}

fn parts(token: &str) -> Result<[&str; 3], Failure> {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().map_err(|_| Failure("an access token does not have three parts".to_owned()))
}

fn decode(part: &str) -> Result<Value, Failure> {
    let bytes = URL_SAFE_NO_PAD.decode(part).map_err(|error| Failure(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure(error.to_string()))
}
