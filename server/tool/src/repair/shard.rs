//! What keeps a shard closed, and what in it is damaged beside that.

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::salvage::{Loss, Salvage, damaged_segments, salvage};
use tidewire_storage::wal::LogCut;

use super::{Patient, file_name, line, segments};

pub(super) fn repair(patient: &Patient, accept_loss: bool, say: &mut dyn FnMut(&str)) -> Result<(), String> {
    let shard = patient.shard;
    let done = block_on(salvage(&PlainDisk, &patient.folder, patient.number(), accept_loss));
    let found = done.map_err(|error| format!("shard {shard} cannot be looked at: {error}"))?;
    let damaged = match found.opens {
        true => block_on(damaged_segments(&PlainDisk, &patient.folder, patient.number())),
        false => Ok(Vec::new()),
    };
    let damaged = damaged.map_err(|error| format!("the segments of shard {shard} cannot be looked at: {error}"))?;
    say(&tell(patient, &found, &damaged, accept_loss));
    match (found.opens, found.cuts.is_empty()) {
        (true, _) if damaged.is_empty() => Ok(()),
        (true, _) => Err(format!("shard {shard} opens, but not all of its segments can be read")),
        (false, false) => Err(format!("shard {shard} is not repaired; --accept-loss does it at that price")),
        (false, true) => Err(format!("shard {shard} cannot be repaired from what is there")),
    }
}

fn tell(patient: &Patient, found: &Salvage, damaged: &[Loss], done: bool) -> String {
    let shard = patient.shard;
    let mut text = String::new();
    for cut in &found.cuts {
        tell_cut(&mut text, cut, done, patient);
    }
    if let Some(error) = &found.left {
        line(&mut text, &format!("{error}"));
        line(&mut text, &format!("Its copy is no better. {}", patient.advice()));
    }
    for loss in damaged {
        segments::tell(&mut text, loss, patient);
    }
    if let Some(loss) = damaged.first() {
        let (name, root) = (&loss.segment.meta.file, patient.data.root().display());
        line(
            &mut text,
            &format!(
                "Put a good copy in place, or give it up: `tidewire repair --shard {shard} --segment {name} \
                 --accept-loss --data-dir {root}`."
            ),
        );
    }
    match (found.opens, found.cuts.is_empty()) {
        (true, true) if damaged.is_empty() => {
            line(&mut text, &format!("shard {shard} opens; there is nothing to repair"));
        }
        (true, true) => {}
        (true, false) => line(&mut text, &format!("shard {shard} opens again")),
        (false, _) if !done => line(&mut text, "Nothing was changed."),
        (false, _) => {}
    }
    text
}

fn tell_cut(text: &mut String, cut: &LogCut, done: bool, patient: &Patient) {
    let (path, offset, reason) = &cut.damage;
    line(text, &format!("{} is damaged at offset {offset}: {reason}", path.display()));
    let verb = if done { "was" } else { "would be" };
    let last = match cut.last_known >= cut.first_lost {
        true => format!("to {}, and later ones if there were any", cut.last_known.0),
        false => "on, of which nothing is known".to_owned(),
    };
    line(text, &format!("The log {verb} ended there. Lost are its records from {} {last}.", cut.first_lost.0));
    let mut what: Vec<String> =
        cut.rows.iter().map(|(table, rows)| format!("{rows} rows of {}", patient.table(*table).0)).collect();
    if cut.deletes > 0 {
        what.push(format!("{} deletes", cut.deletes));
    }
    if cut.readable > 0 {
        line(text, &format!("Of these {} can be read, with {}.", cut.readable, what.join(", ")));
    }
    for (path, offset) in &cut.unreadable {
        line(text, &format!("A commit at offset {offset} of {} cannot be read.", path.display()));
    }
    for path in &cut.files {
        line(text, &format!("{} {verb} set aside.", file_name(path)));
    }
    if let Some((path, end)) = &cut.shortened {
        line(text, &format!("{} {verb} set aside as a copy, and keeps what is before offset {end}.", file_name(path)));
    }
}
