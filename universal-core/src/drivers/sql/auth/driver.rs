//! The service: checks, hashes outside any transaction, then writes.

use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    auth::{
        email::Email,
        hasher::PasswordHasher,
        keys::{AuthKeys, Jwks},
        options::AuthOptions,
        password::{NewPassword, is_impossible},
        password_hash::check_imported,
        refresh_token::{self, RefreshToken},
        role::check_roles,
        rotation::{Decision, Rotation},
        service::Auth,
        session::{Login, Registration, SignedIn},
        ticket::Ticket,
        token::{AccessTokens, Subject},
        user::{ImportUser, Profile, User},
    },
    caller::{Caller, ROLE_ADMIN, ROLE_PLATFORM_ADMIN},
    clock::SharedClock,
    drivers::sql::{
        auth::{
            check::AccessCheck,
            sessions::{self, Session},
            tickets,
            users::{self, Account, Inserted},
        },
        connection::Database,
        tenant as tenants,
    },
    error::{Error, ErrorKind, Result},
    id::{TenantId, UserId},
};

/// Accounts, sessions and tokens in a SQL database.
#[derive(Debug)]
pub(crate) struct SqlAuth {
    db: Database,
    keys: Arc<AuthKeys>,
    clock: SharedClock,
    options: Arc<AuthOptions>,
    hasher: PasswordHasher,
    tokens: AccessTokens,
    check: AccessCheck,
}

impl SqlAuth {
    /// A service on `db`.
    ///
    /// # Errors
    /// `Invalid` if Argon2 does not accept the hashing cost in `options`.
    pub(crate) fn new(db: Database, keys: Arc<AuthKeys>, clock: SharedClock, options: AuthOptions) -> Result<Self> {
        let tokens = AccessTokens::new(Arc::clone(&keys), &options);
        Ok(Self {
            hasher: PasswordHasher::new(&options.hashing)?,
            check: AccessCheck::new(db.clone(), Arc::clone(&clock), tokens.clone(), &options),
            db,
            keys,
            clock,
            options: Arc::new(options),
            tokens,
        })
    }

    /// A new session of `user` and its first refresh token.
    fn new_session(&self, user: &UserId) -> Result<(Session, Arc<RefreshToken>)> {
        let (now, token) = (self.clock.now(), RefreshToken::generate()?);
        let rotation = Rotation {
            current: token.hash(),
            recent: Vec::new(),
            used_at: now,
            expires_at: now.plus(self.options.session_lifetime),
        };
        let id = uuid::Uuid::now_v7().to_string();
        Ok((Session { id, user: user.clone(), rotation }, Arc::new(token)))
    }

    fn signed_in(
        &self,
        tenant: &TenantId,
        account: Account,
        session: &Session,
        refresh: &RefreshToken,
    ) -> Result<SignedIn> {
        let subject = Subject::new(tenant.clone(), account.user.id.clone(), session.id.as_str(), account.token_version)
            .with_roles(account.user.roles.clone());
        let (access_token, expires_in) = self.tokens.issue(&subject, self.clock.now(), session.rotation.expires_at)?;
        Ok(SignedIn::new(account.user, access_token, refresh.to_text(), expires_in))
    }

    fn new_account(&self, email: Email, password_hash: String, roles: Vec<String>, profile: Profile) -> Account {
        let user = User::new(UserId::generate(), email, self.clock.now()).with_roles(roles).with_profile(profile);
        Account { user, password_hash, disabled: false, token_version: 0, tenant_disabled: false }
    }

    /// Writes an account, without a session.
    async fn insert(&self, tenant: &TenantId, account: Account) -> Result<User> {
        let (tenant, user) = (tenant.clone(), account.user.clone());
        let inserted = self.db.write(move |w| {
            let (tenant, account) = (tenant.clone(), account.clone());
            Box::pin(async move { users::insert(w, &tenant, &account).await })
        });
        match inserted.await? {
            Inserted::Yes => Ok(user),
            Inserted::EmailTaken => Err(email_taken()),
        }
    }
}

#[async_trait]
impl Auth for SqlAuth {
    #[tracing::instrument(name = "auth.register", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn register(&self, caller: &Caller, registration: Registration) -> Result<SignedIn> {
        let email = Email::new(&registration.email)?;
        let password = NewPassword::new(&registration.password, &email)?;
        let profile = Profile::new(registration.profile)?;
        let tenant = caller.tenant();
        // Spares the hashing; the unique key decides.
        if users::by_email(&self.db, tenant, &email).await?.is_some() {
            return Err(email_taken());
        }
        let hash = self.hasher.hash(password.as_secret().clone()).await?;
        let account = self.new_account(email, hash, Vec::new(), profile);
        let (session, token) = self.new_session(&account.user.id)?;
        let inserted = {
            let input =
                (tenant.clone(), account.clone(), session.clone(), Arc::clone(&token), Arc::clone(&self.options));
            self.db.write(move |w| {
                let (tenant, account, session, token, options) = input.clone();
                Box::pin(async move {
                    tenants::admits(w, &tenant).await?;
                    let inserted = users::insert(w, &tenant, &account).await?;
                    if inserted == Inserted::Yes {
                        sessions::open(w, &tenant, &session, &token, &options).await?;
                    }
                    Ok(inserted)
                })
            })
        };
        match inserted.await? {
            Inserted::Yes => self.signed_in(tenant, account, &session, &token),
            Inserted::EmailTaken => Err(email_taken()),
        }
    }

    #[tracing::instrument(name = "auth.login", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn login(&self, caller: &Caller, login: Login) -> Result<SignedIn> {
        let email = Email::new(&login.email)?;
        if is_impossible(&login.password) {
            return Err(invalid_credentials());
        }
        let tenant = caller.tenant();
        let found = users::by_email(&self.db, tenant, &email).await?;
        let stored = found.as_ref().map(|account| account.password_hash.clone());
        let verdict = self.hasher.verify(login.password.clone(), stored).await?;
        let account = match found {
            // Whoever has not the password learns nothing of the tenant.
            Some(account) if verdict.matches && !account.disabled && account.tenant_disabled => {
                return Err(tenants::disabled());
            }
            Some(account) if verdict.matches && !account.disabled => account,
            _ => return Err(invalid_credentials()),
        };
        let new_hash = if verdict.outdated { Some(self.hasher.hash(login.password).await?) } else { None };
        let (session, token) = self.new_session(&account.user.id)?;
        let input = (tenant.clone(), account, session.clone(), Arc::clone(&token), Arc::clone(&self.options), new_hash);
        let written = self.db.write(move |w| {
            let (tenant, verified, session, token, options, new_hash) = input.clone();
            Box::pin(async move {
                // The account may have changed while its password was being verified.
                let account = match users::lock(w, &tenant, &session.user).await? {
                    Some(now) if now.tenant_disabled => return Err(tenants::disabled()),
                    Some(now) if !now.disabled && has_same_password(&now, &verified) => now,
                    _ => return Ok(None),
                };
                if let Some(new_hash) = &new_hash {
                    users::replace_hash(w, &tenant, &session.user, &verified.password_hash, new_hash).await?;
                }
                sessions::open(w, &tenant, &session, &token, &options).await?;
                Ok(Some(account))
            })
        });
        let account = written.await?.ok_or_else(invalid_credentials)?;
        self.signed_in(tenant, account, &session, &token)
    }

    #[tracing::instrument(name = "auth.refresh", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn refresh(&self, caller: &Caller, refresh_token: &SecretString) -> Result<SignedIn> {
        let presented = Arc::new(RefreshToken::parse(refresh_token)?);
        let (tenant, now) = (caller.tenant().clone(), self.clock.now());
        let input = (tenant.clone(), Arc::clone(&presented), Arc::clone(&self.keys), Arc::clone(&self.options));
        let written = self.db.write(move |w| {
            let (tenant, presented, keys, options) = input.clone();
            Box::pin(async move {
                let Some(session) = sessions::lock(w, &tenant, &presented).await? else {
                    return Ok(Refreshed::Refused);
                };
                let (idle, grace) = (options.session_idle, options.refresh_grace);
                let decision = session.rotation.decide(&presented.hash(), now, idle, grace);
                let account = users::read(w, &tenant, &session.user).await?.filter(|account| !account.disabled);
                let (Some(account), Decision::Exchange | Decision::Repeat) = (account, decision) else {
                    sessions::end(w, &tenant, &session.id).await?;
                    return Ok(Refreshed::Ended { session: session.id, reused: decision == Decision::Reused });
                };
                // The session waits for the tenant.
                if account.tenant_disabled {
                    return Err(tenants::disabled());
                }
                let successor = presented.successor(keys.refresh(), tenant.as_str(), &session.id);
                if decision == Decision::Exchange {
                    let next = session.rotation.exchanged(successor.hash(), now, grace);
                    sessions::store_rotation(w, &tenant, &session.id, &next).await?;
                }
                Ok(Refreshed::Good(Box::new((account, session, successor))))
            })
        });
        match written.await? {
            Refreshed::Good(good) => {
                let (account, session, successor) = *good;
                self.signed_in(&tenant, account, &session, &successor)
            }
            Refreshed::Ended { session, reused } => {
                self.check.forget_session(&tenant, &session);
                if reused {
                    tracing::warn!(session.id = %session, "a refresh token was used again after its grace period; its session was ended");
                }
                Err(refresh_token::refused())
            }
            Refreshed::Refused => Err(refresh_token::refused()),
        }
    }

    #[tracing::instrument(name = "auth.logout", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn logout(&self, caller: &Caller, refresh_token: Option<&SecretString>) -> Result<()> {
        let own = caller.user_id().and(caller.session()).map(str::to_owned);
        if refresh_token.is_none() && own.is_none() {
            return Err(not_signed_in());
        }
        // A text that is no refresh token has no session that could be left open.
        let token = refresh_token.and_then(|text| RefreshToken::parse(text).ok()).map(Arc::new);
        let tenant = caller.tenant().clone();
        let input = (tenant.clone(), token, own);
        let ended = self.db.write(move |w| {
            let (tenant, token, own) = input.clone();
            Box::pin(async move {
                let mut ended = Vec::from_iter(own);
                if let Some(token) = token
                    && let Some(session) = sessions::lock(w, &tenant, &token).await?
                {
                    ended.push(session.id);
                }
                ended.dedup();
                for session in &ended {
                    sessions::end(w, &tenant, session).await?;
                }
                Ok(ended)
            })
        });
        for session in ended.await? {
            self.check.forget_session(&tenant, &session);
        }
        Ok(())
    }

    #[tracing::instrument(name = "auth.issue_ticket", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn issue_ticket(&self, caller: &Caller, access_token: &SecretString) -> Result<SecretString> {
        let user = caller.user_id().ok_or_else(not_signed_in)?;
        let ticket = Ticket::generate(caller.tenant().clone())?;
        tickets::keep(&self.db, &ticket, (user, access_token), self.clock.now()).await?;
        Ok(ticket.to_text())
    }

    #[tracing::instrument(name = "auth.redeem_ticket", skip_all)]
    async fn redeem_ticket(&self, ticket: &str, stream: &str) -> Result<SecretString> {
        tickets::redeem(&self.db, &Ticket::parse(ticket)?, stream, self.clock.now()).await
    }

    #[tracing::instrument(name = "auth.me", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn me(&self, caller: &Caller) -> Result<User> {
        let id = caller.user_id().ok_or_else(not_signed_in)?;
        match users::by_id(&self.db, caller.tenant(), id).await? {
            Some(account) if !account.disabled && !account.tenant_disabled => Ok(account.user),
            _ => Err(not_signed_in()),
        }
    }

    async fn authenticate(&self, tenant: Option<&TenantId>, access_token: &str) -> Result<Caller> {
        self.check.check(tenant, access_token).await
    }

    fn jwks(&self) -> Jwks {
        self.keys.jwks()
    }

    #[tracing::instrument(name = "auth.create_admin", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn create_admin(&self, caller: &Caller, email: &str, password: &SecretString) -> Result<User> {
        require_admin(caller)?;
        let email = Email::new(email)?;
        let is_admin = |user: &User| user.roles.iter().any(|role| role == ROLE_ADMIN || role == ROLE_PLATFORM_ADMIN);
        let existing = |found: Option<Account>| {
            match found {
            Some(account) if is_admin(&account.user) && !account.disabled => Some(Ok(account.user)),
            Some(_) => Some(Err(Error::new(
                ErrorKind::Conflict,
                "email-taken",
                "this address belongs to an account that is no administrator; give that account the role if it is the right person's",
            )
            .with_field("/email"))),
            None => None,
        }
        };
        if let Some(outcome) = existing(users::by_email(&self.db, caller.tenant(), &email).await?) {
            return outcome;
        }
        let password = NewPassword::new(password, &email)?;
        let hash = self.hasher.hash(password.as_secret().clone()).await?;
        let account = self.new_account(email.clone(), hash, vec![ROLE_ADMIN.to_owned()], Profile::default());
        match self.insert(caller.tenant(), account).await {
            // Two nodes that start together make one administrator.
            Err(error) if error.code() == "email-taken" => {
                existing(users::by_email(&self.db, caller.tenant(), &email).await?).unwrap_or(Err(error))
            }
            outcome => outcome,
        }
    }

    #[tracing::instrument(name = "auth.import_user", skip_all, fields(tenant.id = %caller.tenant()))]
    async fn import_user(&self, caller: &Caller, user: ImportUser) -> Result<User> {
        require_admin(caller)?;
        let email = Email::new(&user.email)?;
        check_imported(&user.password_hash)?;
        let roles = check_roles(user.roles)?;
        require_platform_admin_for(caller, &roles)?;
        let profile = Profile::new(user.profile)?;
        let hash = user.password_hash.expose_secret().to_owned();
        self.insert(caller.tenant(), self.new_account(email, hash, roles, profile)).await
    }

    #[tracing::instrument(name = "auth.set_roles", skip_all, fields(tenant.id = %caller.tenant(), user.id = %user))]
    async fn set_roles(&self, caller: &Caller, user: &UserId, roles: Vec<String>) -> Result<User> {
        require_admin(caller)?;
        let roles = check_roles(roles)?;
        let input = (caller.clone(), user.clone(), roles, self.clock.now());
        let written = self.db.write(move |w| {
            let (caller, user, roles, now) = input.clone();
            Box::pin(async move {
                let tenant = caller.tenant();
                let account = users::lock(w, tenant, &user).await?;
                let account = account.ok_or_else(|| Error::not_found("unknown-user", "there is no such account"))?;
                if account.user.roles == roles {
                    return Ok(account.user);
                }
                require_platform_admin_for(&caller, &account.user.roles)?;
                require_platform_admin_for(&caller, &roles)?;
                users::replace_roles(w, tenant, &user, &roles, now).await?;
                Ok(account.user.with_roles(roles).with_updated_at(now))
            })
        });
        let changed = written.await?;
        self.check.forget_all();
        Ok(changed)
    }
}

/// How a refresh went. Reuse is no error inside the transaction, since the session's end must be committed.
enum Refreshed {
    Good(Box<(Account, Session, RefreshToken)>),
    Ended { session: String, reused: bool },
    Refused,
}

/// A better hash of the same password does not raise the version, a change of password does.
fn has_same_password(now: &Account, verified: &Account) -> bool {
    now.password_hash == verified.password_hash || now.token_version == verified.token_version
}

fn require_admin(caller: &Caller) -> Result<()> {
    if caller.bypasses_rules() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Forbidden, "admin-only", "this needs the role `admin`"))
}

/// A tenant's administrator must not make, unmake or copy one of the installation.
fn require_platform_admin_for(caller: &Caller, roles: &[String]) -> Result<()> {
    let is_system = caller.bypasses_rules() && !caller.is_admin();
    if is_system || caller.has_role(ROLE_PLATFORM_ADMIN) || !roles.iter().any(|role| role == ROLE_PLATFORM_ADMIN) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Forbidden, "platform-admin-only", "this needs the role `platform-admin`"))
}

fn email_taken() -> Error {
    Error::new(ErrorKind::Conflict, "email-taken", "there is an account with this e-mail address; log in instead")
        .with_field("/email")
}

fn invalid_credentials() -> Error {
    Error::new(ErrorKind::Unauthenticated, "invalid-credentials", "the e-mail address or the password is wrong")
}

fn not_signed_in() -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        "unauthenticated",
        "log in first, and send the access token as `Authorization: Bearer …`",
    )
}
