//! Whole paths through the product, as its users walk them.

mod embed;
mod hooked_many;
mod hooks;
mod large_collections;
mod live;
mod mail;
mod pages;
mod readme;
mod todo;
mod transfer;
mod watching;
