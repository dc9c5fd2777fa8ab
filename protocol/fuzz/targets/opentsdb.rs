//! OpenTSDB's lines and JSON: the same in any pieces.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, sizes, told_in_pieces};
use tidewire_protocol::opentsdb::{JsonPoints, TextPoints};
use tidewire_protocol::row::TimeScale;

const SCALE: TimeScale = TimeScale::Unit(1_000_000);

fn text(body: &[u8], piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut points = TextPoints::new(SCALE);
    told_in_pieces(body, piece_bytes, |text, last, rows| Ok(points.read(text, last, rows)))
}

fn json(body: &[u8], takes_text: bool, piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut points = JsonPoints::new(SCALE, takes_text);
    points.keep_refused(true);
    told_in_pieces(body, piece_bytes, |text, last, rows| points.read(text, last, rows))
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let (form, seed) = (choices.number(3), choices.number(u8::MAX));
    let body = choices.rest();
    match form {
        0 => assert_eq!(text(body, || usize::MAX / 2), text(body, sizes(seed))),
        form => assert_eq!(json(body, form == 1, || usize::MAX / 2), json(body, form == 1, sizes(seed))),
    }
});
