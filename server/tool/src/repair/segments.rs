//! Damaged segments in words, and giving up those that are named.

use futures_lite::future::block_on;
use tidewire_storage::disk::plain::PlainDisk;
use tidewire_storage::salvage::{Loss, accept_losses, lost_segments};

use super::{Patient, line};
use crate::text;

pub(super) fn give_up(
    patient: &Patient,
    names: &[String],
    accept_loss: bool,
    say: &mut dyn FnMut(&str),
) -> Result<(), String> {
    let (shard, number) = (patient.shard, patient.number());
    let losses = block_on(lost_segments(&PlainDisk, &patient.folder, number, names));
    let losses = losses.map_err(|error| error.to_string())?;
    let mut told = String::new();
    losses.iter().for_each(|loss| tell(&mut told, loss, patient));
    if !accept_loss {
        line(&mut told, "Nothing was changed.");
        say(&told);
        return Err(format!("nothing is given up of shard {shard}; --accept-loss does it at that price"));
    }
    block_on(accept_losses(&PlainDisk, &patient.folder, number, &losses)).map_err(|error| error.to_string())?;
    line(&mut told, &format!("given up: {}", text::counted(losses.len() as u64, "segment")));
    if losses.iter().any(|loss| !loss.is_missing) {
        line(&mut told, "What is there of damaged files is kept among the shard's detached files.");
    }
    say(&told);
    Ok(())
}

/// What a segment's loss costs.
pub(super) fn tell(out: &mut String, loss: &Loss, patient: &Patient) {
    let meta = &loss.segment.meta;
    let (offset, reason) = &loss.damage;
    match loss.is_missing {
        true => line(out, &format!("{} is missing.", loss.path.display())),
        false => line(out, &format!("{} is damaged at offset {offset}: {reason}", loss.path.display())),
    }
    let (name, unit) = patient.table(loss.segment.table);
    line(
        out,
        &format!(
            "It holds {} of {name} from {} to {}, {}.",
            text::counted(meta.rows, "row"),
            text::time(meta.time_min, unit),
            text::time(meta.time_max, unit),
            text::bytes(meta.bytes)
        ),
    );
}
