//! Registering, logging in, oneself.

use secrecy::ExposeSecret as _;
use serde_json::{Map, Value};

use crate::{
    auth::{
        session::{Login, Registration},
        user::{ImportUser, Profile},
    },
    caller::Caller,
    conformance::auth::fixture::{
        AuthFixture, Checked, Failure, PASSWORD, cases, ensure, ensure_error, new_email, refresh_text,
    },
    error::{ErrorKind, Result},
    id::{TenantId, UserId, random_hex},
};

cases![
    registering_signs_in,
    an_account_has_no_roles_of_its_own_making,
    an_address_is_taken_once_whatever_its_case,
    fifty_parallel_registrations_make_one_account,
    a_password_is_never_answered,
    what_breaks_the_rules_is_refused_and_not_stored,
    logging_in_opens_a_session_of_its_own,
    unknown_accounts_and_wrong_passwords_are_answered_alike,
    an_account_is_unknown_in_another_tenant,
    one_address_can_be_used_in_two_tenants,
    an_unknown_tenant_has_no_accounts,
    me_is_the_callers_own_account,
    a_password_may_be_typed_in_either_unicode_form,
    an_absurd_password_is_simply_wrong,
    a_bcrypt_hash_logs_in_and_is_rehashed,
];

async fn registering_signs_in(on: AuthFixture) -> Checked {
    let (email, profile) = (new_email()?, Map::from_iter([("name".to_owned(), Value::from("Ada"))]));
    let registration = Registration::new(email.to_uppercase(), PASSWORD.to_owned()).with_profile(profile.clone());
    let signed_in = on.auth.register(&on.anonymous(), registration).await?;
    ensure(signed_in.user.email.as_str() == email, "the address is not stored in lower case")?;
    ensure(*signed_in.user.profile.members() == profile, "the profile is another one")?;
    ensure(signed_in.expires_in.as_secs() == 900, format!("the token is good for {:?}", signed_in.expires_in))?;
    let caller = on.caller(&signed_in).await?;
    ensure(caller.user_id() == Some(&signed_in.user.id), "the token stands for somebody else")?;
    on.refresh(&signed_in.refresh_token).await?;
    Ok(())
}

async fn an_account_has_no_roles_of_its_own_making(on: AuthFixture) -> Checked {
    let profile = Map::from_iter([("roles".to_owned(), Value::from(vec!["admin"]))]);
    let registration = Registration::new(new_email()?, PASSWORD.to_owned()).with_profile(profile);
    let signed_in = on.auth.register(&on.anonymous(), registration).await?;
    ensure(signed_in.user.roles.is_empty(), "the new account has roles")?;
    ensure(on.caller(&signed_in).await?.roles().is_empty(), "the token has roles")
}

async fn an_address_is_taken_once_whatever_its_case(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    for email in [signed_in.user.email.as_str().to_owned(), signed_in.user.email.as_str().to_uppercase()] {
        let again = on.auth.register(&on.anonymous(), Registration::new(email, "another password".to_owned())).await;
        ensure_error(again, ErrorKind::Conflict, "email-taken", "a second registration")?;
    }
    on.login(signed_in.user.email.as_str(), PASSWORD).await?;
    Ok(())
}

async fn fifty_parallel_registrations_make_one_account(on: AuthFixture) -> Checked {
    let email = new_email()?;
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let (on, email) = (on.clone(), email.clone());
            let registration = Registration::new(email, format!("{PASSWORD} {n}"));
            tokio::spawn(async move { on.auth.register(&on.anonymous(), registration).await })
        })
        .collect();
    let mut accounts = 0;
    for task in tasks {
        match task.await? {
            Ok(_) => accounts += 1,
            Err(error) => ensure(
                matches!(error.code(), "email-taken" | "too-many-sign-ins"),
                format!("expected email-taken or too-many-sign-ins, found {error:?}"),
            )?,
        }
    }
    ensure(accounts == 1, format!("{accounts} registrations succeeded"))
}

async fn a_password_is_never_answered(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let me = on.auth.me(&on.caller(&signed_in).await?).await?;
    let user = serde_json::to_value(&me).map_err(|error| Failure(error.to_string()))?;
    let mut members: Vec<_> = user.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default();
    members.sort();
    ensure(
        members == ["created_at", "email", "id", "profile", "roles", "updated_at"],
        format!("an account is answered with {members:?}"),
    )?;
    for shown in [format!("{signed_in:?}"), format!("{me:?}"), user.to_string(), format!("{:?}", on.auth)] {
        ensure(!shown.contains(PASSWORD) && !shown.contains("$argon2"), "a password or its hash is shown")?;
        ensure(!shown.contains(refresh_text(&signed_in)), "a refresh token is shown")?;
        ensure(!shown.contains(signed_in.access_token.expose_secret()), "an access token is shown")?;
    }
    Ok(())
}

async fn what_breaks_the_rules_is_refused_and_not_stored(on: AuthFixture) -> Checked {
    let email = new_email()?;
    let large = Map::from_iter([("x".to_owned(), Value::from("x".repeat(Profile::MAX_BYTES)))]);
    let empty = Map::new();
    for (address, password, profile, kind, code) in [
        ("no-address", PASSWORD, &empty, ErrorKind::Invalid, "invalid-email"),
        ("\u{fb01}@example.com", PASSWORD, &empty, ErrorKind::Invalid, "invalid-email"),
        (email.as_str(), "short", &empty, ErrorKind::Invalid, "password-too-short"),
        (email.as_str(), "password1", &empty, ErrorKind::Invalid, "password-refused"),
        (email.as_str(), &"x1".repeat(600), &empty, ErrorKind::Invalid, "password-too-long"),
        (email.as_str(), email.as_str(), &empty, ErrorKind::Invalid, "password-refused"),
        (email.as_str(), PASSWORD, &large, ErrorKind::TooLarge, "profile-too-large"),
    ] {
        let registration = Registration::new(address, password.to_owned()).with_profile(profile.clone());
        let outcome = on.auth.register(&on.anonymous(), registration).await;
        ensure_error(outcome, kind, code, code)?;
    }
    ensure_error(on.login(&email, PASSWORD).await, ErrorKind::Unauthenticated, "invalid-credentials", "logging in")?;
    on.auth.register(&on.anonymous(), Registration::new(email, PASSWORD.to_owned())).await?;
    Ok(())
}

async fn logging_in_opens_a_session_of_its_own(on: AuthFixture) -> Checked {
    let first = on.register().await?;
    let second = on.login(&first.user.email.as_str().to_uppercase(), PASSWORD).await?;
    ensure(first.user.id == second.user.id, "another account")?;
    let (one, two) = (on.caller(&first).await?, on.caller(&second).await?);
    ensure(one.session().is_some() && one.session() != two.session(), "both log-ins share a session")
}

async fn unknown_accounts_and_wrong_passwords_are_answered_alike(on: AuthFixture) -> Checked {
    let known = on.register().await?;
    let shown = |outcome: Result<_>| match outcome {
        Ok(_) => Err(Failure("was accepted".to_owned())),
        Err(error) => Ok((error.kind(), error.code(), error.message().to_owned(), error.retry_after())),
    };
    let wrong = shown(on.login(known.user.email.as_str(), "wrong password").await)?;
    let unknown = shown(on.login(&new_email()?, "wrong password").await)?;
    ensure(wrong.0 == ErrorKind::Unauthenticated && wrong.1 == "invalid-credentials", format!("found {wrong:?}"))?;
    ensure(wrong == unknown, format!("{wrong:?} is not {unknown:?}"))
}

async fn an_account_is_unknown_in_another_tenant(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let email = signed_in.user.email.as_str();
    let login = on.auth.login(&on.elsewhere(), Login::new(email, PASSWORD.to_owned())).await;
    ensure_error(login, ErrorKind::Unauthenticated, "invalid-credentials", "logging in elsewhere")?;
    let me = on.auth.me(&Caller::user(on.other_tenant.clone(), signed_in.user.id.clone())).await;
    ensure_error(me, ErrorKind::Unauthenticated, "unauthenticated", "me elsewhere")?;
    let system = Caller::system(on.other_tenant.clone());
    let roles = on.auth.set_roles(&system, &signed_in.user.id, vec!["editor".to_owned()]).await;
    ensure_error(roles, ErrorKind::NotFound, "unknown-user", "roles from elsewhere")
}

async fn one_address_can_be_used_in_two_tenants(on: AuthFixture) -> Checked {
    let here = on.register().await?;
    let registration = Registration::new(here.user.email.as_str(), "a different password".to_owned());
    let there = on.auth.register(&on.elsewhere(), registration).await?;
    ensure(here.user.id != there.user.id, "one account in two tenants")?;
    let crossed = on.login(here.user.email.as_str(), "a different password").await;
    ensure_error(crossed, ErrorKind::Unauthenticated, "invalid-credentials", "the other tenant's password")
}

async fn an_unknown_tenant_has_no_accounts(on: AuthFixture) -> Checked {
    let nowhere = Caller::anonymous(TenantId::new(format!("t{}", random_hex(8)?))?);
    let registration = Registration::new(new_email()?, PASSWORD.to_owned());
    let outcome = on.auth.register(&nowhere, registration).await;
    ensure_error(outcome, ErrorKind::NotFound, "unknown-tenant", "registering nowhere")
}

async fn me_is_the_callers_own_account(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let me = on.auth.me(&on.caller(&signed_in).await?).await?;
    ensure(me.id == signed_in.user.id && me.email == signed_in.user.email, "somebody else's account")?;
    let unknown = Caller::user(on.tenant.clone(), UserId::generate());
    for (caller, who) in [(on.anonymous(), "nobody"), (on.system(), "the system"), (unknown, "an unknown user")] {
        ensure_error(on.auth.me(&caller).await, ErrorKind::Unauthenticated, "unauthenticated", who)?;
    }
    Ok(())
}

async fn a_password_may_be_typed_in_either_unicode_form(on: AuthFixture) -> Checked {
    let (email, anonymous) = (new_email()?, on.anonymous());
    on.auth.register(&anonymous, Registration::new(&*email, "caf\u{e9} au lait".to_owned())).await?;
    on.login(&email, "cafe\u{301} au lait").await?;
    Ok(())
}

async fn an_absurd_password_is_simply_wrong(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    for password in ["", "\0", &"x".repeat(1 << 20)] {
        let outcome = on.login(signed_in.user.email.as_str(), password).await;
        ensure_error(outcome, ErrorKind::Unauthenticated, "invalid-credentials", password.len())?;
    }
    Ok(())
}

/// That the hash is replaced cannot be seen from here; that every version logs in again and again can.
async fn a_bcrypt_hash_logs_in_and_is_rehashed(on: AuthFixture) -> Checked {
    for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
        let hash = bcrypt::hash_with_result(PASSWORD, 4).map_err(|error| Failure(error.to_string()))?;
        let email = new_email()?;
        let import = ImportUser::new(&*email, hash.format_for_version(version));
        let imported = on.auth.import_user(&on.system(), import).await?;
        let wrong = on.login(&email, "wrong password").await;
        ensure_error(wrong, ErrorKind::Unauthenticated, "invalid-credentials", "a wrong password")?;
        for _ in 0..2 {
            ensure(on.login(&email, PASSWORD).await?.user.id == imported.id, "another account")?;
        }
    }
    Ok(())
}
