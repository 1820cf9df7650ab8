//! Accounts: `/auth/…` and the public keys of access tokens.

mod account;
mod session;
mod wire;

use universal_core::auth::Auth;

use crate::route::{Access, Route};

pub(crate) const ROUTES: &[Route<dyn Auth>] = &[
    Route::post("/auth/register", "auth.register", |auth, cx| Box::pin(session::register(auth, cx)))
        .access(Access::Open),
    Route::post("/auth/login", "auth.login", |auth, cx| Box::pin(session::login(auth, cx))).access(Access::Open),
    // Open: a client that refreshes or logs out often still sends the access token that has expired.
    Route::post("/auth/refresh", "auth.refresh", |auth, cx| Box::pin(session::refresh(auth, cx))).access(Access::Open),
    Route::post("/auth/logout", "auth.logout", |auth, cx| Box::pin(session::logout(auth, cx))).access(Access::Open),
    Route::get("/auth/me", "auth.me", |auth, cx| Box::pin(account::me(auth, cx))).access(Access::SignedIn).with_head(),
    Route::get("/.well-known/jwks.json", "auth.jwks", |auth, cx| Box::pin(account::jwks(auth, cx)))
        .access(Access::Open)
        .with_head(),
];
