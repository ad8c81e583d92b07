//! Message schemas: what a message must look like, and whether it does.
//!
//! [`json`] parses a JSON message once, with limits that hold before the parser runs, and checks it
//! against a JSON Schema straight over the parsed nodes.
//!
//! This crate knows neither WebSocket nor the network. A schema file may refer to other files of its own
//! folder; nothing else is ever fetched, and no client for it is compiled in.

pub mod json;
