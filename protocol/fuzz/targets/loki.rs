//! Loki's pushes: protobuf in any parts, and JSON.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, Recorder, now, told_in_parts};
use tidewire_protocol::loki::LokiPush;

fn parts(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let mut push = LokiPush::new("t".to_owned());
    told_in_parts(message, part_bytes, |fields, rows| now(push.read_message(fields, rows)).map(drop))
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    if choices.number(2) == 0 {
        // Rows or an error; nothing more is asked of it.
        let _ = now(LokiPush::new("t".to_owned()).read_json(choices.rest(), &mut Recorder::default()));
        return;
    }
    let message = choices.rest();
    assert_eq!(parts(message, usize::MAX), parts(message, 1));
});
