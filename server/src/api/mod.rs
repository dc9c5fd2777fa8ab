//! The edge: from a request to its handler, and back to a reply in the words of the API that was asked.
//!
//! ```text
//!   endpoint.rs    what an endpoint is: pattern, methods, family, privilege, database, body limit, handler
//!   table.rs       all endpoints
//!   routes.rs      from a path to its endpoint
//!   context.rs     what a handler knows of a request: who, when, which database; request_id.rs its id
//!   guard.rs       the one place where requests are let in, by who asks and what the table says
//!   router.rs      joins them: path → endpoint → handler → reply, or fault → words; counters.rs and
//!                  query_counters.rs count, request_log.rs logs; redact.rs hides passwords
//!   body_length.rs refuses bodies of no length
//!   fault.rs       what went wrong, in the words of no API
//!   reply.rs       rows as a reply, whole or streamed; patience.rs what a query holds while its client does not read
//!   cells.rs       columns of a query's rows, cell by cell
//!   precision.rs   the unit of times that a parameter names; body.rs bodies that are one message
//!   cnos/ influx/ opentsdb/ elastic/ loki/ prometheus/ otlp/ jaeger/ operations/    a family each: its handlers, and
//!                  `error.rs`, which words faults and chooses the status; plain.rs does that for families that have
//!                  no words of their own
//! ```
//!
//! A new endpoint is a row of the table, a handler's name, a function in its family's folder, and its lines in
//! docs/api.md and docs/openapi.yaml; tests hold the table and the two documents together.

mod audit;
mod body;
pub mod body_length;
mod cells;
pub mod cnos;
pub mod context;
pub mod counters;
pub mod elastic;
pub mod endpoint;
pub mod fault;
mod guard;
pub mod influx;
pub mod jaeger;
pub mod loki;
pub mod opentsdb;
pub mod operations;
pub mod otlp;
pub mod patience;
mod plain;
mod precision;
pub mod prometheus;
mod queries;
mod query_counters;
mod redact;
pub mod reply;
pub mod request_id;
mod request_log;
mod router;
pub mod routes;
mod statement_kind;
pub mod table;

pub use router::Router;
