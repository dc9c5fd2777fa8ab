//! DELETE and ALTER as data, and what a TTL hides.

use tidewire_sql::deletion::SeriesFilter;
use tidewire_sql::{DatabaseChange, Definition, Deletion, Statement, TableChange};
use tidewire_storage::schema::{Codec, ColumnKind, FieldType};

use crate::{plan, prepared};

fn deletion(text: &str) -> Deletion {
    match prepared(text) {
        Ok(Statement::Delete(deletion)) => deletion,
        other => panic!("{text}: {other:?}"),
    }
}

fn definition(text: &str) -> Definition {
    match prepared(text) {
        Ok(Statement::Define(definition)) => definition,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn times_of_a_delete_are_exact() {
    const ALL: (i64, i64) = (i64::MIN, i64::MAX);
    for (predicate, expected) in [
        ("", vec![ALL]),
        (" where true", vec![ALL]),
        (" where false", vec![]),
        (" where time = 5", vec![(5, 5)]),
        (" where time > 5 and time <= 9", vec![(6, 9)]),
        (" where time between 5 and 9", vec![(5, 9)]),
        (" where time < 5 or time >= 9", vec![(i64::MIN, 4), (9, i64::MAX)]),
        (" where (time < 5 or time > 9) and time > 0", vec![(1, 4), (10, i64::MAX)]),
        (" where time <> 5", vec![(i64::MIN, 4), (6, i64::MAX)]),
        (" where not (time > 5 and time < 9)", vec![(i64::MIN, 5), (9, i64::MAX)]),
        (" where time in (5, 9, 6)", vec![(5, 6), (9, 9)]),
        (" where time > 9 and time < 5", vec![]),
        (" where time < now() - interval '1 hour'", vec![(i64::MIN, 1_667_452_811_000_000_000 - 1)]),
    ] {
        let deletion = deletion(&format!("delete from m{predicate}"));
        assert_eq!(deletion.times, expected, "{predicate}");
        assert!(matches!(deletion.series, SeriesFilter::All), "{predicate}");
    }
    assert_eq!(deletion("delete from slow.p where time < '1970-01-01T00:00:01'").times, [(i64::MIN, 999)]);
    // Rows that a TTL hides are deleted like any other.
    assert_eq!(deletion("delete from kept.p").times, [ALL]);
    assert_eq!(deletion("delete from kept.p where time < 7").times, [(i64::MIN, 6)]);
}

#[test]
fn tags_of_a_delete_become_a_predicate_over_series() {
    for predicate in [
        "t = 'a'",
        "t = 11",
        "t in ('a', 'b') and u is null",
        "t = 'a' or u = 'b'",
        "t like 'a%' and time < 5",
        "t <> 'a' and (time = 1 or time = 3)",
    ] {
        let deletion = deletion(&format!("delete from m where {predicate}"));
        assert!(matches!(deletion.series, SeriesFilter::Predicate { .. }), "{predicate}: {deletion:?}");
    }
    assert_eq!(deletion("delete from m where t <> 'a' and (time = 1 or time = 3)").times, [(1, 1), (3, 3)]);
    for text in
        ["delete from m x where x.t = 'a'", "delete from m as x where t = 'a';", "delete from m time where time = 3"]
    {
        assert_eq!(&*deletion(text).table.name, "m", "{text}");
    }
}

#[test]
fn alterations_name_what_changes() {
    let database = |change| Definition::AlterDatabase { name: "d".into(), change };
    assert_eq!(definition("alter database D set ttl '10d'"), database(DatabaseChange::Ttl(Some(864_000_000_000_000))));
    assert_eq!(definition("alter database d set ttl = 'INF'"), database(DatabaseChange::Ttl(None)));
    let hour_ns = 3_600_000_000_000;
    let hour = DatabaseChange::PartitionLength { partition_ns: hour_ns, asked_ns: hour_ns };
    assert_eq!(definition("alter database d set vnode_duration '1h'"), database(hour));
    assert_eq!(definition("alter database d set shard 3"), database(DatabaseChange::Shard(3)));
    assert_eq!(definition("alter database d set replica 2"), database(DatabaseChange::Replica(2)));
    let table = |change| Definition::AlterTable { database: "slow".into(), name: "p".into(), change };
    let add =
        |name: &str, kind, codec| table(TableChange::AddColumn { name: name.into(), kind, codec, geometry: None });
    assert_eq!(definition("alter table slow.p add tag T"), add("t", ColumnKind::Tag, None));
    assert_eq!(
        definition("alter table slow.p add field \"F\" bigint unsigned codec(delta)"),
        add("F", ColumnKind::Field(FieldType::UInt), Some(Codec::Delta))
    );
    let plain = definition("alter table slow.p add field s string codec(default)");
    assert_eq!(plain, add("s", ColumnKind::Field(FieldType::String), None));
    assert_eq!(definition("alter table slow.p drop v"), table(TableChange::DropColumn { name: "v".into() }));
    let renamed = TableChange::RenameColumn { name: "v".into(), to: "W".into() };
    assert_eq!(definition("alter table slow.p rename column V to \"W\""), table(renamed));
}

#[test]
fn what_is_older_than_the_ttl_is_not_scanned() {
    // Ten days before the session's time.
    let bound = "time>=2022-10-24T06:20:11";
    assert_eq!(plan("select v from kept.p"), format!("Project: v\n  Scan: kept.p [v], {bound}"));
    assert!(plan("select count(*) from kept.p where k = 'a'").contains(bound));
    let earlier = plan("select v from kept.p where time > '2000-01-01'");
    assert!(earlier.contains(bound), "{earlier}");
    let later = plan("select v from kept.p where time >= '2022-11-01'");
    assert!(later.contains("time>=2022-11-01T00:00:00") && !later.contains(bound), "{later}");
    assert!(plan("select v from kept.p where time < '2000-01-01'").contains("nothing"));
    assert!(!plan("select v from slow.p").contains("time>="));
}
