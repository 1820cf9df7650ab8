//! Administrators and roles.

use std::time::Duration;

use crate::{
    auth::user::ImportUser,
    caller::{Caller, ROLE_ADMIN, ROLE_PLATFORM_ADMIN},
    conformance::auth::fixture::{AuthFixture, Checked, PASSWORD, cases, ensure, ensure_error, new_email},
    error::ErrorKind,
};

cases![
    the_first_administrator_is_made_once,
    an_ordinary_account_is_not_raised_by_its_address,
    only_administrators_make_accounts_and_roles,
    only_platform_administrators_touch_platform_administrators,
    new_roles_come_with_the_next_refresh,
    malformed_roles_and_hashes_are_refused,
];

async fn the_first_administrator_is_made_once(on: AuthFixture) -> Checked {
    let email = new_email()?;
    let first = on.auth.create_admin(&on.system(), &email, &PASSWORD.to_owned().into()).await?;
    ensure(first.roles == [ROLE_ADMIN], format!("the roles are {:?}", first.roles))?;
    let again = on.auth.create_admin(&on.system(), &email, &"another password".to_owned().into()).await?;
    ensure(first.id == again.id, "a second account was made")?;
    let signed_in = on.login(&email, PASSWORD).await?;
    ensure(on.caller(&signed_in).await?.is_admin(), "the administrator's token does not say so")?;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let (on, email) = (on.clone(), format!("x{email}"));
            tokio::spawn(async move { on.auth.create_admin(&on.system(), &email, &PASSWORD.to_owned().into()).await })
        })
        .collect();
    let mut ids = Vec::new();
    for task in tasks {
        ids.push(task.await??.id);
    }
    ids.dedup();
    ensure(ids.len() == 1, "nodes that start together made several administrators")
}

async fn an_ordinary_account_is_not_raised_by_its_address(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let email = signed_in.user.email.as_str();
    let outcome = on.auth.create_admin(&on.system(), email, &PASSWORD.to_owned().into()).await;
    ensure_error(outcome, ErrorKind::Conflict, "email-taken", "raising an account")?;
    ensure(!on.caller(&on.login(email, PASSWORD).await?).await?.is_admin(), "the account was raised")
}

async fn only_administrators_make_accounts_and_roles(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    let user = on.caller(&signed_in).await?;
    for caller in [on.anonymous(), user] {
        let admin = on.auth.create_admin(&caller, &new_email()?, &PASSWORD.to_owned().into()).await;
        ensure_error(admin, ErrorKind::Forbidden, "admin-only", "making an administrator")?;
        let import = ImportUser::new(new_email()?, "$2b$04$x".to_owned());
        let import = on.auth.import_user(&caller, import).await;
        ensure_error(import, ErrorKind::Forbidden, "admin-only", "importing")?;
        let roles = on.auth.set_roles(&caller, &signed_in.user.id, vec![ROLE_ADMIN.to_owned()]).await;
        ensure_error(roles, ErrorKind::Forbidden, "admin-only", "giving roles")?;
    }
    Ok(())
}

async fn only_platform_administrators_touch_platform_administrators(on: AuthFixture) -> Checked {
    let user = on.register().await?.user.id;
    let of_tenant = Caller::user(on.tenant.clone(), user.clone()).with_roles([ROLE_ADMIN]);
    let of_platform = Caller::user(on.tenant.clone(), user.clone()).with_roles([ROLE_PLATFORM_ADMIN]);
    let raised = || vec![ROLE_PLATFORM_ADMIN.to_owned()];
    let outcome = on.auth.set_roles(&of_tenant, &user, raised()).await;
    ensure_error(outcome, ErrorKind::Forbidden, "platform-admin-only", "raising oneself")?;
    let hash = bcrypt::hash(PASSWORD, 4).map_err(crate::error::Error::internal)?;
    let import = ImportUser::new(new_email()?, hash).with_roles(raised());
    let outcome = on.auth.import_user(&of_tenant, import).await;
    ensure_error(outcome, ErrorKind::Forbidden, "platform-admin-only", "importing a raised account")?;
    on.auth.set_roles(&of_platform, &user, raised()).await?;
    let outcome = on.auth.set_roles(&of_tenant, &user, Vec::new()).await;
    ensure_error(outcome, ErrorKind::Forbidden, "platform-admin-only", "lowering a platform administrator")?;
    ensure(on.auth.set_roles(&on.system(), &user, Vec::new()).await?.roles.is_empty(), "roles are left")
}

async fn new_roles_come_with_the_next_refresh(on: AuthFixture) -> Checked {
    let signed_in = on.register().await?;
    on.caller(&signed_in).await?;
    let roles = vec!["editor".to_owned(), "author".to_owned(), "editor".to_owned()];
    let changed = on.auth.set_roles(&on.system(), &signed_in.user.id, roles).await?;
    ensure(changed.roles == ["author", "editor"], format!("the roles are {:?}", changed.roles))?;
    on.clock.advance(Duration::from_secs(5));
    let outcome = on.caller(&signed_in).await;
    ensure_error(outcome, ErrorKind::Unauthenticated, "session-ended", "a token with the old roles")?;
    let refreshed = on.refresh(&signed_in.refresh_token).await?;
    let caller = on.caller(&refreshed).await?;
    ensure(caller.roles() == ["author", "editor"], format!("the token says {:?}", caller.roles()))?;
    ensure(refreshed.user.roles == ["author", "editor"], "the account is answered with the old roles")
}

async fn malformed_roles_and_hashes_are_refused(on: AuthFixture) -> Checked {
    let user = on.register().await?.user.id;
    let outcome = on.auth.set_roles(&on.system(), &user, vec!["No Role".to_owned()]).await;
    ensure_error(outcome, ErrorKind::Invalid, "invalid-roles", "a malformed role")?;
    for hash in ["", "secret", "$2b$31$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u"] {
        let import = ImportUser::new(new_email()?, hash.to_owned());
        let outcome = on.auth.import_user(&on.system(), import).await;
        ensure_error(outcome, ErrorKind::Invalid, "invalid-password-hash", hash)?;
    }
    Ok(())
}
