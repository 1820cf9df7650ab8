//! Who asks: the tenant, the identity and its roles, with every call of every service.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::id::{TenantId, UserId};

/// The role of an administrator of one tenant.
pub const ROLE_ADMIN: &str = "admin";
/// The role of an administrator of the whole installation.
pub const ROLE_PLATFORM_ADMIN: &str = "platform-admin";

/// The one who asks. There is no way to a table without one, and its tenant is in every statement.
///
/// ```
/// use universal_core::{Caller, TenantId};
/// let system = Caller::system(TenantId::default_tenant());
/// assert!(system.bypasses_rules());
/// assert!(!Caller::anonymous(TenantId::default_tenant()).bypasses_rules());
/// ```
#[derive(Clone, Debug)]
pub struct Caller {
    tenant: TenantId,
    identity: Identity,
    roles: Arc<[String]>,
    claims: Option<Arc<Map<String, Value>>>,
    session: Option<Arc<str>>,
    request_id: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Identity {
    Anonymous,
    User(UserId),
    System,
}

impl Caller {
    /// Somebody without credentials.
    #[must_use]
    pub fn anonymous(tenant: TenantId) -> Self {
        Self::with_identity(tenant, Identity::Anonymous)
    }

    /// A user of the tenant.
    #[must_use]
    pub fn user(tenant: TenantId, user: UserId) -> Self {
        Self::with_identity(tenant, Identity::User(user))
    }

    /// The program itself: no rule binds it. Never make one from a request.
    #[must_use]
    pub fn system(tenant: TenantId) -> Self {
        Self::with_identity(tenant, Identity::System)
    }

    fn with_identity(tenant: TenantId, identity: Identity) -> Self {
        Self { tenant, identity, roles: Arc::from([]), claims: None, session: None, request_id: None }
    }

    /// The same caller with these roles.
    #[must_use]
    pub fn with_roles<I: IntoIterator<Item = S>, S: Into<String>>(mut self, roles: I) -> Self {
        self.roles = roles.into_iter().map(Into::into).collect();
        self
    }

    /// The same caller with these claims, which rules see as `caller.claims`.
    #[must_use]
    pub fn with_claims(mut self, claims: impl Into<Arc<Map<String, Value>>>) -> Self {
        self.claims = Some(claims.into());
        self
    }

    /// The same caller, known by this session.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Arc<str>>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// The same caller within a request that has an id; changes carry it.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<Arc<str>>) -> Self {
        self.request_id = Some(id.into());
        self
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The user, if there is one.
    #[must_use]
    pub fn user_id(&self) -> Option<&UserId> {
        match &self.identity {
            Identity::User(user) => Some(user),
            Identity::Anonymous | Identity::System => None,
        }
    }

    /// The session that the credentials belong to, if they belong to one.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The id of the request this call belongs to.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The roles.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// The claims that came with the credentials, if any did.
    #[must_use]
    pub fn claims(&self) -> Option<&Map<String, Value>> {
        self.claims.as_deref()
    }

    /// Whether the caller has `role`.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }

    /// Whether the caller is nobody in particular.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.identity == Identity::Anonymous
    }

    /// Whether the caller is an administrator of its tenant or of the installation.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.has_role(ROLE_ADMIN) || self.has_role(ROLE_PLATFORM_ADMIN)
    }

    /// Whether collection rules bind this caller: not the program itself, not administrators.
    #[must_use]
    pub fn bypasses_rules(&self) -> bool {
        self.identity == Identity::System || self.is_admin()
    }

    /// The name under which a change records its author: a user's id, `system`, or nothing.
    #[must_use]
    pub fn actor(&self) -> Option<&str> {
        match &self.identity {
            Identity::Anonymous => None,
            Identity::User(user) => Some(user.as_str()),
            Identity::System => Some("system"),
        }
    }
}
