//! Accounts in SQL: implements [`Auth`](crate::auth::Auth).

mod check;
mod driver;
mod sessions;
#[cfg(test)]
mod tests;
mod tickets;
mod users;

pub(crate) use driver::SqlAuth;
