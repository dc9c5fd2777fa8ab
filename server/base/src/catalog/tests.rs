//! The catalog's files: what is written is read, what earlier builds wrote too, and damage is reported.

use std::path::{Path, PathBuf};

use futures_lite::future::block_on;
use tidewire_storage::Error;
use tidewire_storage::disk::Disk;
use tidewire_storage::disk::sim::{Fault, FaultKind, Operation, SimDisk};
use tidewire_storage::schema::{Catalog, ColumnKind, FieldType};

use super::change::SchemaChange;
use super::decide::decide;
use super::edit::{Effects, replay};
use super::initial::initial;
use super::log::CatalogLog;
use super::read::{file_name, read};

const META: &str = "/meta";

fn ensure(tables: impl IntoIterator<Item = String>) -> SchemaChange {
    let columns = vec![("h".to_owned(), ColumnKind::Tag), ("v \"\u{1}é".to_owned(), ColumnKind::Field(FieldType::Int))];
    let tables = tables.into_iter().map(|name| (name, columns.clone())).collect();
    SchemaChange::Ensure { database: "public".into(), policy: "autogen".into(), tables }
}

fn open(disk: &SimDisk) -> (CatalogLog<SimDisk>, Catalog) {
    block_on(CatalogLog::open(disk.clone(), Path::new(META))).unwrap()
}

/// Makes a change and its seal.
fn change(log: &mut CatalogLog<SimDisk>, catalog: &mut Catalog, change: &SchemaChange) {
    let edits = decide(catalog, change).unwrap();
    let before = catalog.clone();
    catalog.version += 1;
    edits.iter().for_each(|edit| replay(catalog, edit, &mut Effects::default()).unwrap());
    block_on(log.append(&before, &edits, catalog.version)).unwrap();
    block_on(log.seal());
}

fn files(disk: &SimDisk) -> Vec<String> {
    let mut names = block_on(disk.list(Path::new(META))).unwrap();
    names.sort();
    names
}

fn path(generation: u64) -> PathBuf {
    Path::new(META).join(file_name(generation))
}

#[test]
fn nothing_is_written_before_the_first_change_and_then_all_is_found_again() {
    let disk = SimDisk::new(1);
    let (mut log, mut catalog) = open(&disk);
    assert_eq!((&catalog, files(&disk)), (&initial(), Vec::new()));
    assert!(block_on(read(&disk, Path::new(META))).unwrap().is_none());
    for number in 0..5 {
        change(&mut log, &mut catalog, &ensure([format!("t{number}")]));
    }
    assert_eq!(files(&disk), ["catalog-00000001.log"]);
    disk.crash();
    let saved = block_on(read(&disk, Path::new(META))).unwrap().unwrap();
    assert_eq!((saved.catalog, saved.path), (catalog.clone(), path(1)));
    assert_eq!(open(&disk).1, catalog);
}

#[test]
fn documents_of_earlier_builds_are_read_and_give_way_to_the_first_change() {
    // As the builds wrote them.
    let format_1 = concat!(
        r#"{"version":7,"databases":{"public":{"name":"public","options":{"precision":"Millisecond","#,
        r#""ttl_ns":864000000000000,"partition_ns":86400000000000},"retention_policies":["autogen"],"#,
        r#""tables":{"cpu":{"id":3,"name":"cpu","columns":[{"id":0,"name":"host","kind":"Tag"},"#,
        r#"{"id":1,"name":"v","kind":{"Field":"Float"}}],"time_unit":"Millisecond","#,
        r#""partition_length":86400000,"next_column":2}}}},"next_table":4}"#
    );
    let format_2 = concat!(
        r#"{"version":7,"databases":{"public":{"name":"public","precision":"Millisecond","policies":[{"name":"autogen","#,
        r#""ttl_ns":864000000000000,"partition_ns":86400000000000,"replication":1,"#,
        r#""tables":{"cpu":{"id":3,"name":"cpu","columns":[{"id":0,"name":"host","kind":"Tag"},"#,
        r#"{"id":1,"name":"v","kind":{"Field":"Float"}}],"time_unit":"Millisecond","#,
        r#""partition_length":86400000,"next_column":2}}}],"default_policy":"autogen"}},"next_table":4}"#
    );
    for (format, text) in [(1, format_1), (2, format_2)] {
        let disk = SimDisk::new(1);
        let document =
            serde_json::json!({ "format": format, "crc32c": crc32c::crc32c(text.as_bytes()), "catalog": text });
        let old = Path::new(META).join("catalog.json");
        block_on(disk.create_dir(Path::new(META))).unwrap();
        disk.import(&old, document.to_string().into_bytes());
        let (mut log, mut catalog) = open(&disk);
        assert_eq!((catalog.version, catalog.next_table), (7, 4));
        let table = catalog.table("public", "cpu").unwrap();
        assert_eq!((table.id.0, table.columns.len(), table.next_column), (3, 2, 2));
        let policy = catalog.databases["public"].main_policy().unwrap();
        let kept = (&*policy.name, policy.ttl_ns, policy.partition_ns, policy.replication);
        assert_eq!(kept, ("autogen", Some(864_000_000_000_000), 86_400_000_000_000, 1));
        assert_eq!(files(&disk), ["catalog.json"]);
        change(&mut log, &mut catalog, &ensure(["t".to_owned()]));
        assert_eq!(files(&disk), ["catalog-00000001.log"]);
        disk.crash();
        assert_eq!(open(&disk).1, catalog);
        let flipped = document.to_string().replace("cpu", "cpv");
        let disk = SimDisk::new(1);
        block_on(disk.create_dir(Path::new(META))).unwrap();
        disk.import(&old, flipped.into_bytes());
        let error = block_on(read(&disk, Path::new(META))).unwrap_err().to_string();
        assert!(error.contains("catalog.json is damaged at offset 0: checksum"), "{error}");
    }
}

#[test]
fn a_file_that_has_grown_gives_way_to_the_next_one() {
    let disk = SimDisk::new(1);
    let (mut log, mut catalog) = open(&disk);
    change(&mut log, &mut catalog, &ensure((0..2000).map(|number| format!("t{number}"))));
    log.set_rotate_bytes_min(20_000);
    block_on(log.rotate_if_grown(&catalog));
    assert_eq!(files(&disk), ["catalog-00000002.log"]);
    for number in 0..20 {
        change(&mut log, &mut catalog, &ensure([format!("u{number}")]));
        block_on(log.rotate_if_grown(&catalog));
    }
    assert_eq!(files(&disk), ["catalog-00000002.log"], "less than what it began with");
    disk.crash();
    assert_eq!(open(&disk).1, catalog);
    // One that cannot be written leaves the old one in use.
    let (mut log, mut catalog) = open(&disk);
    log.set_rotate_bytes_min(0);
    let more = ensure((0..3000).map(|number| format!("v{number}")));
    change(&mut log, &mut catalog, &more);
    disk.inject(Fault::next(Operation::Write, ".tmp", FaultKind::NoSpace));
    block_on(log.rotate_if_grown(&catalog));
    assert!(!log.is_in_doubt());
    change(&mut log, &mut catalog, &ensure(["w".to_owned()]));
    assert_eq!(files(&disk), ["catalog-00000002.log"]);
    disk.crash();
    assert_eq!(open(&disk).1, catalog);
}

#[test]
fn a_full_disk_takes_a_change_still() {
    let disk = SimDisk::new(1);
    let (mut log, mut catalog) = open(&disk);
    change(&mut log, &mut catalog, &ensure(["t".to_owned()]));
    disk.set_capacity(Some(disk.used_bytes()));
    let drop = tidewire_sql::Definition::DropTable { database: "public".into(), name: "t".into(), if_exists: false };
    change(&mut log, &mut catalog, &SchemaChange::Define(drop));
    disk.crash();
    assert_eq!(open(&disk).1, catalog);
}

#[test]
fn any_flipped_bit_of_what_was_acknowledged_is_told_with_file_and_offset() {
    let disk = SimDisk::new(1);
    let (mut log, mut catalog) = open(&disk);
    for number in 0..3 {
        change(&mut log, &mut catalog, &ensure([format!("t{number}")]));
    }
    drop(log);
    let saved = block_on(read(&disk, Path::new(META))).unwrap().unwrap();
    let bytes = disk.bytes(&path(1)).unwrap();
    // The header block, the snapshot, three commits with a seal each, and space.
    assert_eq!((saved.bytes, bytes.len() as u64 > saved.bytes), (8 * 4096, true));
    for bit in (0..saved.bytes * 8).step_by(7) {
        let (offset, bit) = (bit / 8, (bit % 8) as u8);
        assert!(disk.flip_bit(&path(1), offset, bit));
        let found = block_on(read(&disk, Path::new(META)));
        match found {
            Err(Error::Corrupt { path: told, offset: at, .. }) => {
                assert_eq!((told, at / 4096 * 4096), (path(1), offset / 4096 * 4096));
            }
            // The last seal is about what is before it.
            Ok(Some(found)) if offset >= 7 * 4096 => assert_eq!(found.catalog, catalog),
            other => panic!("bit {bit} at {offset}: {other:?}"),
        }
        assert!(disk.flip_bit(&path(1), offset, bit));
    }
    assert_eq!(block_on(read(&disk, Path::new(META))).unwrap().unwrap().catalog, catalog);
}

#[test]
fn a_change_of_a_later_build_is_refused() {
    let disk = SimDisk::new(1);
    let (mut log, mut catalog) = open(&disk);
    change(&mut log, &mut catalog, &ensure(["t".to_owned()]));
    drop(log);
    let mut bytes = disk.bytes(&path(1)).unwrap();
    let at = bytes.windows(11).position(|window| window == b"\"NextTable\"").unwrap();
    bytes[at..at + 11].copy_from_slice(b"\"GrantRole\"");
    let frame = &mut bytes[4096..8192];
    let payload_crc = crc32c::crc32c(&frame[64..]);
    frame[36..40].copy_from_slice(&payload_crc.to_le_bytes());
    let crc = crc32c::crc32c(&frame[8..64]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
    let other = SimDisk::new(2);
    block_on(other.create_dir(Path::new(META))).unwrap();
    other.import(&path(1), bytes);
    let error = block_on(read(&other, Path::new(META))).unwrap_err().to_string();
    assert!(error.contains("does not know the change at offset 4096") && error.contains("GrantRole"), "{error}");
}
