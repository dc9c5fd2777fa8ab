//! JSON documents by line, and Elasticsearch's bulk: the same in any pieces.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, sizes, told_in_pieces};
use tidewire_protocol::document::{Bulk, DocumentRule, JsonLines, Numbers};
use tidewire_protocol::row::{Apart, TimeScale};

fn rule(numbers: Numbers) -> DocumentRule {
    let tag_columns = vec!["host".to_owned(), "o.k".to_owned()];
    DocumentRule {
        time_column: None,
        tag_columns,
        numbers,
        scale: TimeScale::Digits,
        now_ns: 1_000,
        apart: Apart::default(),
    }
}

fn lines(body: &[u8], piece_bytes: impl FnMut() -> usize) -> Vec<String> {
    let mut lines = JsonLines::new("t".to_owned(), rule(Numbers::Typed));
    told_in_pieces(body, piece_bytes, |text, last, rows| lines.read(text, last, rows))
}

fn bulk(body: &[u8], table: Option<&str>, piece_bytes: impl FnMut() -> usize) -> (Vec<String>, Vec<String>) {
    let mut bulk = Bulk::new(table.map(str::to_owned), rule(Numbers::Floats));
    let told = told_in_pieces(body, piece_bytes, |text, last, rows| bulk.read(text, last, rows));
    let item = |item| format!("{item:?} {} {:?}", bulk.table(item), bulk.id(item));
    (told, bulk.items().iter().map(item).collect())
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let (form, seed) = (choices.number(3), choices.number(u8::MAX));
    let body = choices.rest();
    match form {
        0 => assert_eq!(lines(body, || usize::MAX / 2), lines(body, sizes(seed))),
        form => {
            let table = (form == 1).then_some("t");
            assert_eq!(bulk(body, table, || usize::MAX / 2), bulk(body, table, sizes(seed)));
        }
    }
});
