//! Each fault really happens, and nothing that is promised is broken.

use std::path::Path;

use futures_lite::future::{block_on, poll_once};

use super::*;

const BLOCK: usize = DISK_ALIGN;

fn disk(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    block_on(async {
        disk.create_dir(Path::new("/d")).await.unwrap();
        disk.sync_dir(Path::new("/")).await.unwrap();
    });
    disk
}

fn file(disk: &SimDisk, name: &str) -> SimFile {
    block_on(disk.open(&Path::new("/d").join(name), OpenMode::Create)).unwrap()
}

/// A durable name for it.
fn named(disk: &SimDisk, name: &str) -> SimFile {
    let file = file(disk, name);
    block_on(disk.sync_dir(Path::new("/d"))).unwrap();
    file
}

fn write(file: &SimFile, block: usize, value: u8) {
    block_on(file.write((block * BLOCK) as u64, vec![value; BLOCK])).unwrap();
}

/// The bytes of `/d/f` after a crash, for many seeds.
fn after_crashes(seeds: u64, work: impl Fn(&SimDisk)) -> Vec<(SimCounts, Option<Vec<u8>>)> {
    let one = |seed| {
        let disk = disk(seed);
        work(&disk);
        disk.crash();
        (disk.counts(), disk.bytes(Path::new("/d/f")))
    };
    (0..seeds).map(one).collect()
}

#[test]
fn what_was_synced_survives_every_crash() {
    let survived = after_crashes(200, |disk| {
        let file = named(disk, "f");
        write(&file, 0, 1);
        write(&file, 1, 2);
        block_on(file.sync()).unwrap();
        write(&file, 2, 3);
    });
    for (_, bytes) in survived {
        let bytes = bytes.unwrap();
        assert!(bytes[..BLOCK].iter().all(|b| *b == 1) && bytes[BLOCK..2 * BLOCK].iter().all(|b| *b == 2));
    }
}

#[test]
fn unsynced_writes_are_lost_torn_and_reordered() {
    let crashes = after_crashes(400, |disk| {
        let file = named(disk, "f");
        block_on(file.allocate(4 * BLOCK as u64)).unwrap();
        block_on(file.sync()).unwrap();
        for block in 0..4 {
            write(&file, block, 7);
        }
    });
    let sectors = |bytes: &[u8]| bytes.chunks(512).map(|s| s.iter().all(|b| *b == 7)).collect::<Vec<_>>();
    let seen =
        |wanted: &dyn Fn(&[bool]) -> bool| crashes.iter().any(|(_, bytes)| wanted(&sectors(bytes.as_deref().unwrap())));
    assert!(seen(&|kept| kept.iter().all(|k| *k)), "all kept");
    assert!(seen(&|kept| kept.iter().all(|k| !k)), "all lost");
    assert!(seen(&|kept| !kept[..8].contains(&true) && kept[24..].iter().all(|k| *k)), "a later one, not an earlier");
    assert!(seen(&|kept| kept[..8].contains(&true) && kept[..8].contains(&false)), "torn at 512 bytes");
    for (_, bytes) in &crashes {
        let bytes = bytes.as_deref().unwrap();
        assert!(bytes.chunks(512).all(|s| s.iter().all(|b| *b == s[0])), "no sector is torn");
    }
    let total = |of: fn(&SimCounts) -> u64| crashes.iter().map(|(counts, _)| of(counts)).sum::<u64>();
    assert!(total(|c| c.lost_writes) > 0 && total(|c| c.torn_writes) > 0 && total(|c| c.reordered) > 0);
}

#[test]
fn a_durable_write_is_durable_by_itself_only() {
    let crashes = after_crashes(200, |disk| {
        let file = named(disk, "f");
        block_on(file.allocate(4 * BLOCK as u64)).unwrap();
        block_on(file.sync()).unwrap();
        write(&file, 0, 7);
        block_on(file.write_durable(BLOCK as u64, vec![8; BLOCK])).unwrap();
        // Over what may be lost: it is the newer one, whatever becomes of that.
        block_on(file.write_durable(0, vec![9; BLOCK])).unwrap();
        write(&file, 2, 7);
    });
    let block = |bytes: &Option<Vec<u8>>, number: usize| bytes.as_ref().unwrap()[number * BLOCK..][..BLOCK].to_vec();
    assert!(crashes.iter().all(|(_, bytes)| block(bytes, 0) == vec![9; BLOCK] && block(bytes, 1) == vec![8; BLOCK]));
    for value in [0, 7] {
        assert!(crashes.iter().any(|(_, bytes)| block(bytes, 2) == vec![value; BLOCK]), "{value}");
    }
    let crashes = after_crashes(200, |disk| {
        let file = named(disk, "f");
        block_on(file.allocate(2 * BLOCK as u64)).unwrap();
        block_on(file.sync()).unwrap();
        write(&file, 0, 7);
        block_on(file.write_durable(BLOCK as u64, vec![8; BLOCK])).unwrap();
    });
    let lost = crashes.iter().filter(|(_, bytes)| block(bytes, 0) == vec![0; BLOCK]).count();
    assert!((1..200).contains(&lost), "{lost} of 200 earlier writes are lost");
    assert!(crashes.iter().all(|(_, bytes)| block(bytes, 1) == vec![8; BLOCK]));
}

#[test]
fn a_short_read_gives_the_first_of_the_bytes_once() {
    let disk = disk(1);
    let file = named(&disk, "f");
    (0..4).for_each(|block| write(&file, block, block as u8 + 1));
    disk.inject(Fault::next(Operation::Read, "/d/f", FaultKind::ShortRead));
    let short = block_on(file.read(0, 4 * BLOCK)).unwrap();
    let whole = block_on(file.read(0, 4 * BLOCK)).unwrap();
    assert!(short.len() < whole.len() && whole.starts_with(&short) && whole.len() == 4 * BLOCK);
    assert_eq!(disk.counts().short_reads, 1);
}

#[test]
fn a_file_that_grew_may_end_anywhere_and_reads_there_are_short() {
    let crashes = after_crashes(400, |disk| write(&named(disk, "f"), 0, 7));
    let lengths: Vec<_> = crashes.iter().map(|(_, bytes)| bytes.as_ref().unwrap().len()).collect();
    assert!(lengths.contains(&0) && lengths.contains(&BLOCK));
    assert!(lengths.iter().any(|length| (1..BLOCK).contains(length) && length % 512 == 0));
    assert!(crashes.iter().any(|(_, bytes)| bytes.as_deref().is_some_and(|b| !b.is_empty() && b.contains(&0))));

    let disk = disk(1);
    disk.import(Path::new("/d/f"), vec![7; 1000]);
    let file = block_on(disk.open(Path::new("/d/f"), OpenMode::Read)).unwrap();
    assert_eq!(block_on(file.read(0, BLOCK)).unwrap().len(), 1000);
    assert_eq!(block_on(file.read(BLOCK as u64, BLOCK)).unwrap().len(), 0);
}

#[test]
fn names_without_sync_come_and_go() {
    let there = |name: &str, work: &dyn Fn(&SimDisk)| {
        let mut seen = (false, false);
        for seed in 0..50 {
            let disk = disk(seed);
            work(&disk);
            disk.crash();
            match disk.bytes(&Path::new("/d").join(name)) {
                Some(_) => seen.0 = true,
                None => seen.1 = true,
            }
        }
        seen
    };
    let rename = |disk: &SimDisk| block_on(disk.rename(Path::new("/d/f"), Path::new("/d/g"))).unwrap();
    let remove = |disk: &SimDisk| block_on(disk.remove(Path::new("/d/f"))).unwrap();
    let sync = |disk: &SimDisk| block_on(disk.sync_dir(Path::new("/d"))).unwrap();
    assert_eq!(there("f", &|disk| drop(file(disk, "f"))), (true, true), "created");
    assert_eq!(there("f", &|disk| drop(named(disk, "f"))), (true, false), "created and synced");
    let renamed = |disk: &SimDisk| {
        drop(named(disk, "f"));
        rename(disk);
    };
    assert_eq!(there("f", &renamed), (true, true), "renamed, the old name");
    assert_eq!(there("g", &renamed), (true, true), "renamed, the new name");
    let removed = |disk: &SimDisk| {
        drop(named(disk, "f"));
        remove(disk);
    };
    assert_eq!(there("f", &removed), (true, true), "removed");
    let all = |disk: &SimDisk| {
        renamed(disk);
        sync(disk);
    };
    assert_eq!((there("f", &all), there("g", &all)), ((false, true), (true, false)), "renamed and synced");

    let folder = |synced: bool| {
        let mut seen = (false, false);
        for seed in 0..50 {
            let disk = disk(seed);
            block_on(async {
                disk.create_dir(Path::new("/d/e")).await.unwrap();
                drop(disk.open(Path::new("/d/e/f"), OpenMode::Create).await.unwrap());
                disk.sync_dir(Path::new("/d/e")).await.unwrap();
                if synced {
                    disk.sync_dir(Path::new("/d")).await.unwrap();
                }
            });
            disk.crash();
            match disk.bytes(Path::new("/d/e/f")) {
                Some(_) => seen.0 = true,
                None => seen.1 = true,
            }
        }
        seen
    };
    assert_eq!((folder(false), folder(true)), ((true, true), (true, false)));
}

#[test]
fn the_death_of_a_process_loses_nothing_but_its_handles() {
    let disk = disk(5);
    let file = file(&disk, "f");
    write(&file, 0, 1);
    disk.kill();
    assert_eq!(disk.bytes(Path::new("/d/f")).unwrap(), [1; BLOCK]);
    assert!(block_on(file.write(0, vec![2; BLOCK])).is_err() && block_on(file.read(0, BLOCK)).is_err());
    assert_eq!(disk.unsynced(Path::new("/d/f")), 1, "and is not durable for that");
}

#[test]
fn a_failed_sync_is_not_mended_by_a_good_one() {
    let (mut lost, mut seen_new, mut seen_old) = (false, false, false);
    for seed in 0..50 {
        let disk = disk(seed);
        let file = named(&disk, "f");
        write(&file, 0, 1);
        block_on(file.sync()).unwrap();
        write(&file, 0, 2);
        disk.inject(Fault::next(Operation::Sync, "/f", FaultKind::Io));
        let error = block_on(file.sync()).unwrap_err();
        assert!(error.to_string().starts_with("cannot sync /d/f"), "{error}");
        match block_on(file.read(0, BLOCK)).unwrap() == [2; BLOCK] {
            true => seen_new = true,
            false => seen_old = true,
        }
        block_on(file.sync()).unwrap();
        disk.crash();
        lost |= disk.bytes(Path::new("/d/f")).unwrap() != [2; BLOCK];
    }
    assert!(lost && seen_new && seen_old);
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let mut lost = false;
    for seed in 0..50 {
        let disk = disk(seed);
        let file = named(&disk, "f");
        write(&file, 0, 1);
        disk.set_delays(4);
        block_on(async {
            let mut sync = Box::pin(file.sync());
            let ended = poll_once(&mut sync).await.is_some();
            file.write(0, vec![2; BLOCK]).await.unwrap();
            if !ended {
                sync.await.unwrap();
            }
        });
        disk.crash();
        let bytes = disk.bytes(Path::new("/d/f")).unwrap();
        assert!(bytes.iter().all(|b| [1, 2].contains(b)), "the first is durable, the second may be");
        lost |= bytes.contains(&1);
    }
    assert!(lost);
}

#[test]
fn space_is_bounded_and_what_was_reserved_is_kept() {
    let disk = disk(6);
    disk.set_capacity(Some(8 * BLOCK as u64));
    let reserved = named(&disk, "reserved");
    block_on(reserved.allocate(4 * BLOCK as u64)).unwrap();
    let other = named(&disk, "other");
    for block in 0..4 {
        write(&other, block, 1);
    }
    let full = block_on(other.write(4 * BLOCK as u64, vec![1; BLOCK])).unwrap_err();
    assert!(full.is_no_space() && full.to_string().contains("at offset 16384 of /d/other"), "{full}");
    assert!(block_on(other.allocate(5 * BLOCK as u64)).unwrap_err().is_no_space());
    write(&other, 2, 9);
    for block in 0..4 {
        write(&reserved, block, 2);
    }
    assert_eq!((disk.used_bytes(), disk.counts().no_space), (8 * BLOCK as u64, 2));
    // A file without a name takes its space until it is closed.
    block_on(disk.remove(Path::new("/d/reserved"))).unwrap();
    assert!(block_on(other.write(4 * BLOCK as u64, vec![1; BLOCK])).is_err());
    drop(reserved);
    write(&other, 4, 1);
    block_on(other.truncate(BLOCK as u64)).unwrap();
    assert_eq!(disk.used_bytes(), BLOCK as u64);
}

#[test]
fn planned_failures_come_when_and_where_they_were_planned() {
    let disk = disk(7);
    let (f, g) = (named(&disk, "f"), named(&disk, "g"));
    write(&f, 0, 1);
    disk.inject(Fault { after: 1, times: 2, ..Fault::next(Operation::Write, "/f", FaultKind::Io) });
    let results: Vec<bool> = (0..5).map(|_| block_on(f.write(0, vec![9; BLOCK])).is_ok()).collect();
    assert_eq!(results, [true, false, false, true, true]);
    write(&g, 0, 1);
    disk.inject(Fault::lasting(Operation::Read, "/g", FaultKind::Io));
    assert!(block_on(g.read(0, BLOCK)).is_err() && block_on(g.read(0, BLOCK)).is_err());
    disk.heal();
    assert!(block_on(g.read(0, BLOCK)).is_ok());
    for (operation, refused) in
        [(Operation::Create, "create"), (Operation::Rename, "rename"), (Operation::List, "list")]
    {
        disk.inject(Fault::next(operation, "/d", FaultKind::Io));
        let error = block_on(async {
            disk.list(Path::new("/d")).await?;
            drop(disk.open(Path::new("/d/new"), OpenMode::Create).await?);
            disk.rename(Path::new("/d/new"), Path::new("/d/newer")).await
        });
        assert!(error.unwrap_err().to_string().contains(refused));
    }
}

#[test]
fn bits_flip_for_once_or_for_good() {
    let disk = disk(8);
    let file = named(&disk, "f");
    write(&file, 0, 0);
    let ones = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
    disk.inject(Fault::next(Operation::Read, "/f", FaultKind::FlippedBit));
    assert_eq!(ones(&block_on(file.read(0, BLOCK)).unwrap()), 1);
    assert_eq!(ones(&block_on(file.read(0, BLOCK)).unwrap()), 0);
    assert!(disk.flip_bit(Path::new("/d/f"), 100, 3));
    assert_eq!(block_on(file.read(0, BLOCK)).unwrap()[100], 8);
    block_on(file.sync()).unwrap();
    disk.crash();
    assert_eq!(disk.bytes(Path::new("/d/f")).unwrap()[100], 8);
    assert!(!disk.flip_bit(Path::new("/d/f"), 1 << 20, 0) && !disk.flip_bit(Path::new("/d/none"), 0, 0));
}

#[test]
fn a_short_write_leaves_its_first_sectors_and_fails() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..40 {
        let disk = disk(seed);
        let file = named(&disk, "f");
        write(&file, 0, 1);
        disk.inject(Fault::next(Operation::Write, "/f", FaultKind::ShortWrite));
        assert!(block_on(file.write(0, vec![2; 2 * BLOCK])).is_err());
        let bytes = disk.bytes(Path::new("/d/f")).unwrap();
        let done = bytes.iter().take_while(|byte| **byte == 2).count();
        assert!(done.is_multiple_of(SECTOR) && done < 2 * BLOCK, "{done}");
        assert!(bytes[done..].iter().all(|byte| *byte == 1), "what comes after is as it was");
        assert_eq!((bytes.len(), disk.counts().short_writes), (done.max(BLOCK), 1));
        lengths.insert(done);
    }
    assert!(lengths.len() > 5, "{lengths:?}");
}

#[test]
fn nothing_changes_on_a_disk_for_reading_and_none_is_reserved_where_that_cannot_be() {
    let disk = disk(1);
    let file = named(&disk, "f");
    write(&file, 0, 1);
    disk.set_read_only();
    let refused = [
        block_on(file.write(0, vec![2; BLOCK])),
        block_on(file.truncate(0)),
        block_on(disk.remove(Path::new("/d/f"))),
        block_on(disk.rename(Path::new("/d/f"), Path::new("/d/g"))),
        block_on(disk.open(Path::new("/d/g"), OpenMode::Create)).map(drop),
    ];
    for refused in refused {
        let Err(crate::Error::Io { source, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(source.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }
    assert_eq!(block_on(file.read(0, BLOCK)).unwrap(), [1; BLOCK]);
    disk.heal();
    write(&file, 0, 2);
    block_on(file.allocate(2 * BLOCK as u64)).unwrap();
    disk.cannot_reserve();
    disk.heal();
    assert!(block_on(file.allocate(3 * BLOCK as u64)).unwrap_err().is_unsupported());
}

#[test]
fn failures_by_chance_come_about_as_often_as_they_should() {
    let disk = disk(9);
    let file = named(&disk, "f");
    disk.set_rates(FaultRates { write: 1000, read: 500, flipped_bit: 500, ..FaultRates::default() });
    let failed = (0..1000).filter(|_| block_on(file.write(0, vec![1; BLOCK])).is_err()).count();
    assert!((50..200).contains(&failed), "{failed}");
    let wrong = (0..1000).filter(|_| block_on(file.read(0, BLOCK)).is_ok_and(|b| b != [1; BLOCK])).count();
    assert!((20..120).contains(&wrong), "{wrong}");
}

#[test]
fn an_operation_dropped_under_way_is_done_or_not() {
    let (mut done, mut undone) = (false, false);
    for seed in 0..50 {
        let disk = disk(seed);
        let file = named(&disk, "f");
        disk.set_delays(4);
        let ended = block_on(poll_once(Box::pin(file.write(0, vec![1; BLOCK])))).is_some();
        let opening = block_on(poll_once(Box::pin(disk.open(Path::new("/d/g"), OpenMode::Create))));
        drop(opening);
        match disk.bytes(Path::new("/d/f")).unwrap().is_empty() {
            true => undone = true,
            false => done |= !ended,
        }
    }
    assert!(done && undone);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed: u64| {
        let disk = disk(seed);
        disk.set_delays(3);
        disk.set_rates(FaultRates { write: 500, sync: 500, ..FaultRates::default() });
        let order = RefCell::new(Vec::new());
        let file = named(&disk, "f");
        let mut tasks = SimTasks::new(seed);
        for task in 0..4_u8 {
            let (file, order) = (&file, &order);
            tasks.spawn(async move {
                for _ in 0..20 {
                    let written = file.write(u64::from(task) * BLOCK as u64, vec![task; BLOCK]).await.is_ok();
                    let synced = file.sync().await.is_ok();
                    order.borrow_mut().push((task, written, synced));
                }
            });
        }
        let end = tasks.run(std::future::pending::<()>(), 10_000);
        assert_eq!(end, SimEnd::Stuck, "all tasks end, and the main future never does");
        drop(tasks);
        disk.crash();
        (order.into_inner(), disk.counts(), disk.bytes(Path::new("/d/f")))
    };
    assert!(run(1) == run(1) && run(1).0 != run(2).0);
    assert!(run(1).1.delays > 0);
}

#[test]
fn a_run_ends_when_its_steps_do() {
    let mut tasks = SimTasks::new(3);
    tasks.spawn(async {
        loop {
            futures_lite::future::yield_now().await;
        }
    });
    assert_eq!(tasks.run(std::future::pending::<()>(), 100), SimEnd::Steps);
    assert_eq!(tasks.run(async { 5 }, 100), SimEnd::Done(5));
    assert!(tasks.steps() > 100);
}

#[test]
fn a_run_ends_at_its_moment() {
    for after in 0..3 {
        let disk = disk(9);
        disk.set_delays(3);
        for name in ["a", "b", "c", "d", "other"] {
            named(&disk, name);
        }
        let moment = Moment { operation: Operation::Remove, path_part: "/d/".to_owned(), after };
        disk.set_moment(Some(moment));
        let mut tasks = SimTasks::new(4);
        tasks.spawn(async {
            for name in ["missing", "a", "b", "c", "d"] {
                let _ = disk.remove(&Path::new("/d").join(name)).await;
            }
        });
        let end = tasks.run_until(std::future::pending::<()>(), 10_000, || disk.moment_has_come());
        assert_eq!(end, SimEnd::Steps);
        // What was not there to be removed does not count.
        assert_eq!(disk.paths().len(), 5 - 1 - after as usize);
        disk.set_moment(None);
        assert!(!disk.moment_has_come());
    }
}
