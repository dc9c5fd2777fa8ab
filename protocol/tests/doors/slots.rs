//! The cache of slots by name.

use tidewire_protocol::row::{FieldKind, Position, RawValue, RowDraft, RowError, RowTaker};

use crate::random::generator;
use crate::recorder::Recorder;

fn int(draft: &mut RowDraft, name: &str, value: i64) {
    draft.field(name, FieldKind::Int, RawValue::from_int(value));
}

#[test]
fn names_are_asked_for_once() {
    let mut rows = Recorder::default();
    let mut draft = RowDraft::default();
    for round in 0..3 {
        for host in ["a", "b"] {
            draft.begin("cpu");
            draft.tag("host", host);
            int(&mut draft, "load", round);
            draft.time = round;
            assert_eq!(rows.take(Position::Item(1), &mut draft), Ok(()));
        }
    }
    assert_eq!(rows.told.len(), 6);
    assert_eq!(rows.told[5], "cpu,host=b load=2i 2");
    // Two series and one layout.
    assert_eq!(rows.sink.asked, 3);
}

#[test]
fn of_names_that_come_twice_the_last_counts_and_an_empty_value_is_no_tag() {
    let mut rows = Recorder::default();
    let mut draft = RowDraft::default();
    for _ in 0..2 {
        draft.begin("t");
        for (name, value) in [("b", "1"), ("a", ""), ("b", "2"), ("c", "3"), ("c", "")] {
            draft.tag(name, value);
        }
        int(&mut draft, "x", 1);
        draft.string("y", "text");
        int(&mut draft, "x", 2);
        assert_eq!(rows.take(Position::Item(1), &mut draft), Ok(()));
    }
    assert_eq!(rows.told, ["t,b=2 y=\"text\",x=2i 0"; 2]);
}

#[test]
fn an_integer_becomes_a_float_where_the_column_is_one() {
    let mut rows = Recorder::default();
    rows.sink.floats = vec!["v"];
    let mut draft = RowDraft::default();
    for (kind, value) in [
        (FieldKind::Int, RawValue::from_int(-3)),
        (FieldKind::UInt, RawValue::from_uint(u64::MAX)),
        (FieldKind::Float, RawValue::from_float(0.5)),
    ] {
        draft.begin("t");
        draft.field("v", kind, value);
        int(&mut draft, "w", 7);
        assert_eq!(rows.take(Position::Item(1), &mut draft), Ok(()));
    }
    assert_eq!(rows.told, ["t v=-3.0,w=7i 0", "t v=1.8446744073709552e19,w=7i 0", "t v=0.5,w=7i 0"]);
}

#[test]
fn a_draft_says_what_it_lacks() {
    let mut draft = RowDraft::default();
    draft.begin("");
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Err(RowError::Missing("the table's name")));
    draft.begin("t");
    assert_eq!(draft.check(), Err(RowError::NoField));
    draft.tag("", "x");
    assert_eq!(draft.check(), Err(RowError::Missing("a tag's name")));
    let long = "é".repeat(40_000);
    draft.begin("t");
    int(&mut draft, &long, 1);
    assert_eq!(draft.check(), Err(RowError::NameTooLong));
    draft.begin("t");
    draft.tag("a", &long);
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Err(RowError::NameTooLong));
    draft.begin("t");
    (0..5000).for_each(|at| int(&mut draft, &format!("f{at}"), 1));
    assert_eq!(draft.check(), Err(RowError::TooManyFields));
    draft.begin("t");
    (0..100).for_each(|at| int(&mut draft, &format!("{at}{}", "x".repeat(60_000)), 1));
    assert_eq!(draft.check(), Err(RowError::TooManyFields));
    draft.begin("t");
    (0..100_000).for_each(|at| draft.tag(&format!("t{at}"), "x"));
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Err(RowError::NameTooLong));
    draft.begin("t");
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Ok(()));
}

#[test]
fn what_is_wrong_before_a_mark_stays_wrong_and_what_is_behind_it_goes() {
    let mut draft = RowDraft::default();
    draft.begin("t");
    draft.tag("a", "b");
    let mark = draft.mark();
    draft.tag("", "x");
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Err(RowError::Missing("a tag's name")));
    draft.back_to(mark);
    draft.string("y", "text");
    let mut rows = Recorder::default();
    assert_eq!(rows.take(Position::Item(1), &mut draft), Ok(()));
    assert_eq!(rows.told, ["t,a=b y=\"text\" 0"]);
    draft.begin("");
    let mark = draft.mark();
    draft.back_to(mark);
    int(&mut draft, "x", 1);
    assert_eq!(draft.check(), Err(RowError::Missing("the table's name")));
}

#[test]
fn rows_are_the_same_with_a_cache_that_forgets() {
    let mut rng = generator();
    let mut rows = Recorder::default();
    let mut draft = RowDraft::default();
    let filler = "x".repeat(300);
    for round in 0..20_000 {
        let (table, tag, field) = (rng.u8(..4), rng.u16(..3000), rng.u8(..5));
        draft.begin(&format!("t{table}"));
        draft.tag("tag", &format!("{tag}{filler}"));
        draft.time = round;
        int(&mut draft, &format!("f{field}"), round);
        assert_eq!(rows.take(Position::Item(1), &mut draft), Ok(()));
        assert_eq!(rows.told.pop(), Some(format!("t{table},tag={tag}{filler} f{field}={round}i {round}")));
    }
}
