//! What the targets share. Each is a file beside this folder that gives a parser arbitrary bytes, and asks more of it
//! than not to crash: that how a body is cut into pieces changes nothing, and that bounds are kept.

// Each target uses a part of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod entry;
#[path = "../../../tests/doors/recorder.rs"]
mod recorder;

pub(crate) use recorder::{Recorder, now, told_in_pieces};
use tidewire_protocol::protobuf::split;
use tidewire_protocol::row::RowError;

/// The first bytes of an input say how it is used; what is left is the input itself.
pub(crate) struct Choices<'d> {
    data: &'d [u8],
}

impl<'d> Choices<'d> {
    /// Of an input.
    pub(crate) fn of(data: &'d [u8]) -> Self {
        Self { data }
    }

    /// A number below `bound`.
    pub(crate) fn number(&mut self, bound: u8) -> u8 {
        match self.data {
            [first, rest @ ..] => {
                self.data = rest;
                first % bound
            }
            [] => 0,
        }
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'d [u8] {
        self.data
    }
}

/// Sizes of pieces, drawn from a number.
pub(crate) fn sizes(seed: u8) -> impl FnMut() -> usize {
    let mut state = u32::from(seed) + 1;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        match seed {
            0 => 1,
            _ => (state >> 24) as usize % 40 + 1,
        }
    }
}

/// What a door tells of a message that it gets in parts of at least `part_bytes`; `None` where it is refused.
pub(crate) fn told_in_parts(
    message: &[u8],
    part_bytes: usize,
    mut read: impl FnMut(&[u8], &mut Recorder) -> Result<(), RowError>,
) -> Option<Vec<String>> {
    let mut recorder = Recorder::default();
    let mut rest = message;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(split(rest, part_bytes).ok()?);
        rest = behind;
        read(part, &mut recorder).ok()?;
    }
    Some(recorder.told)
}
