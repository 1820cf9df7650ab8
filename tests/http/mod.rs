//! The wire: what a request may not be, and what it is answered.

mod accounts;
mod bad_input;
mod case;
mod cases_auth;
mod cases_documents;
mod cases_reads;
mod cases_realtime;
mod cases_requests;
mod cases_storage;
mod cases_transfer;
mod cases_writes;
mod channels;
mod counting;
mod files;
mod lifecycle;
mod mounts;
mod protected;
mod reads;
mod realtime_schema;
mod serving;
mod socketio;
mod writes;
