//! Detached files that are put back or removed, by name.

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::salvage::{Attached, attach, remove_detached};

use super::Patient;
use crate::text;

/// Does it name by name, and ends with the first that is refused.
pub(super) fn run(
    patient: &Patient,
    attached: &[String],
    removed: &[String],
    say: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let number = patient.number();
    for name in attached {
        let length = |table| patient.partition_length(table);
        let done = block_on(attach(&PlainDisk, &patient.folder, number, name, &length));
        match done.map_err(|error| error.to_string())? {
            Attached::Segment(table, rows) => {
                let (table, _) = patient.table(table);
                say(&format!("attached: {name}, {} of {table}\n", text::counted(rows, "row")));
            }
            Attached::Series => say(&format!("attached: {name}, a series file\n")),
        }
    }
    for name in removed {
        block_on(remove_detached(&PlainDisk, &patient.folder, number, name)).map_err(|error| error.to_string())?;
        say(&format!("removed: {name}\n"));
    }
    Ok(())
}
