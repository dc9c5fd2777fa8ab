//! Tests of the server as a process, over its sockets.

#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

mod alerts;
mod broken_log;
mod cardinality;
mod changes;
mod clock;
mod common;
mod damage;
mod deletes;
mod descriptors;
mod doors;
mod ending;
mod export;
mod filesystems;
mod full;
mod health;
mod hostile;
mod influx_hostile;
mod influx_operations;
mod influx_replies;
mod influxql;
mod limits;
mod lives;
mod logs;
mod memory;
mod metrics;
mod odd;
mod owner;
mod platform;
mod pressure;
mod replies;
mod reshard;
mod restart;
mod round_trip;
mod runbook;
mod schema;
mod seeds;
mod seeds_influx;
mod starts;
mod statements;
mod tools;
mod unions;
mod users;
mod values;
