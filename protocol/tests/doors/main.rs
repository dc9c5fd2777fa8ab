//! Doors whose rows come by name: what they read, what they refuse, and that neither any bytes nor any way in which a
//! body arrives changes that.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod definition;
mod documents;
mod messages;
mod opentsdb;
mod otlp;
mod random;
mod recorder;
mod remote_read;
mod signals;
mod slots;
mod texts;
