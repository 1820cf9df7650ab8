//! What every request passes before and after its handler, and the guard for a host's own routes.

pub(crate) mod access;
mod auth_layer;
pub(crate) mod authenticate;
pub(crate) mod catch_panic;
pub(crate) mod origin;
pub(crate) mod request_id;
pub(crate) mod secure_headers;
pub(crate) mod stack;

pub use auth_layer::{AuthLayer, AuthService, CurrentUser};
