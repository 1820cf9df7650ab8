//! Whole paths through the product, as its users walk them.

mod embed;
mod hooks;
mod live;
mod mail;
mod pages;
mod readme;
mod todo;
mod transfer;
