//! Protobuf messages, walked field by field where they lie: nothing is copied and no message is built.
//!
//! A message is the fields of its bytes, in the order in which they were written; what a field means its reader knows
//! by number. The reader passes over fields that it does not know, as the format demands, and takes a field that comes
//! twice for the last one. Tests hold the walks of each format against a decoder made from the messages' definitions.

mod block;
mod pair;
mod wire;

pub use block::{SnappyWriter, decode_snappy_block, decode_snappy_block_into, snappy_block_bytes};
pub use pair::read_pair;
pub use wire::{
    Field, Fields, Value, field_bytes, packed_varints, push_header, push_varint, signed, split, text, varint_bytes,
};
