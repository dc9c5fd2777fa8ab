//! Golden plans: each block of `plans.txt` is a query, `----`, and its optimized plan as EXPLAIN prints it.

use crate::plan;

#[test]
fn plans_are_those_of_the_file() {
    let mut wrong = String::new();
    let mut count = 0;
    for block in include_str!("plans.txt").split("\n\n") {
        let (query, expected) = block.trim().split_once("\n----\n").expect("a block has a query, ---- and a plan");
        let found = plan(query);
        if found != expected {
            wrong.push_str(&format!("{query}\n---- found\n{found}\n---- expected\n{expected}\n\n"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 30, "the file holds {count} plans");
}
