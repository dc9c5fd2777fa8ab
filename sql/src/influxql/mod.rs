//! InfluxQL front end: text to statements.
//!
//! This floor knows the statements that clients need to set up a database: CREATE DATABASE, DROP DATABASE and SHOW
//! DATABASES, several separated by `;`. Anything else is refused by name, never answered wrongly.
//!
//! [`lexer`] cuts the text into tokens with their position; [`parser`] reads statements. Errors read as InfluxDB's do:
//! `found X, expected Y at line L, char C`.

mod lexer;
mod parser;

pub use parser::{ParseError, Statement, parse};
