//! Golden stages: each block of `stages.txt` is a query, `----`, and its stages as EXPLAIN prints them.

use tidewire_sql::{Statement, cut};

use crate::prepared;

#[test]
fn stages_are_those_of_the_file() {
    let mut wrong = String::new();
    let mut count = 0;
    for block in include_str!("stages.txt").split("\n\n") {
        let (query, expected) = block.trim().split_once("\n----\n").expect("a block has a query, ---- and stages");
        let found = match prepared(query) {
            Ok(Statement::Query(query)) => cut(&query.plan).to_string(),
            other => panic!("{query}: {other:?}"),
        };
        if found != expected {
            wrong.push_str(&format!("{query}\n----\n{found}\n\n---- expected\n{expected}\n\n"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 12, "the file holds {count} queries");
}
