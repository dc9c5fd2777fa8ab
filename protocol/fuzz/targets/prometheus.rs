//! Prometheus' remote write, both versions, in any parts.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, now, told_in_parts};
use tidewire_protocol::prometheus::{RemoteWrite, symbols, symbols_bytes};

fn first(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let mut remote = RemoteWrite::default();
    told_in_parts(message, part_bytes, |fields, rows| now(remote.read_first(fields, rows)).map(drop))
}

fn second(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let symbols = symbols(message).ok()?;
    assert!(symbols_bytes(message).is_ok_and(|bytes| bytes >= size_of_val(&*symbols)));
    let mut remote = RemoteWrite::default();
    told_in_parts(message, part_bytes, |fields, rows| now(remote.read_second(fields, &symbols, rows)).map(drop))
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let form = choices.number(2);
    let message = choices.rest();
    match form {
        0 => assert_eq!(first(message, usize::MAX), first(message, 1)),
        _ => assert_eq!(second(message, usize::MAX), second(message, 1)),
    }
});
