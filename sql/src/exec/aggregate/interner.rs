//! Byte strings to dense codes, and codes to columns of text.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use super::index::DenseIndex;
use crate::error::execution::{ExecError, Result};
use crate::exec::batch::OUTPUT_ROWS;

/// Byte strings by code.
#[derive(Debug)]
pub(super) struct Interner {
    index: DenseIndex,
    ends: Vec<usize>,
    bytes: Vec<u8>,
    secrets: RapidSecrets,
    /// All texts, once they are few and asked for.
    texts: Option<ArrayRef>,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            index: DenseIndex::default(),
            ends: Vec::new(),
            bytes: Vec::new(),
            // Of its own for each: texts are data, and must not be able to collide by design.
            secrets: RapidSecrets::seed(RandomState::new().hash_one(0u8)),
            texts: None,
        }
    }
}

impl Interner {
    /// The code of `value`; a new one at its first appearance.
    pub(super) fn code(&mut self, value: &[u8]) -> u32 {
        let next = self.ends.len() as u32;
        let (ends, bytes) = (&self.ends, &self.bytes);
        let is_it = |code| held(ends, bytes, code) == value;
        let code = self.index.get_or_insert(rapidhash_v3_seeded(value, &self.secrets), next, is_it);
        if code == next {
            self.bytes.extend_from_slice(value);
            self.ends.push(self.bytes.len());
            self.texts = None;
        }
        code
    }

    /// The code of `value`, if it has one.
    pub(super) fn find(&self, value: &[u8]) -> Option<u32> {
        let is_it = |code| held(&self.ends, &self.bytes, code) == value;
        self.index.find(rapidhash_v3_seeded(value, &self.secrets), is_it)
    }

    /// The bytes of a code.
    pub(super) fn value(&self, code: u32) -> &[u8] {
        held(&self.ends, &self.bytes, code)
    }

    /// Memory held.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<usize>() + self.index.bytes()
    }

    /// The texts of `codes`: a dictionary over all texts where they are few, else plain.
    pub(super) fn column(&mut self, codes: ScalarBuffer<u32>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
        if self.ends.len() > OUTPUT_ROWS {
            return self.plain_column(&codes, nulls.as_ref());
        }
        let texts = match &self.texts {
            Some(texts) => Arc::clone(texts),
            None => Arc::clone(self.texts.insert(all_texts(&self.ends, &self.bytes)?)),
        };
        Ok(Arc::new(DictionaryArray::try_new(PrimitiveArray::<UInt32Type>::new(codes, nulls), texts)?))
    }

    fn plain_column(&self, codes: &[u32], nulls: Option<&NullBuffer>) -> Result<ArrayRef> {
        let texts = codes.iter().enumerate().map(|(row, &code)| match nulls {
            Some(nulls) if nulls.is_null(row) => None,
            _ => Some(self.value(code)),
        });
        check_text_bytes(texts.clone().flatten().map(<[u8]>::len).sum())?;
        let mut column = StringBuilder::with_capacity(codes.len(), 0);
        for text in texts {
            column.append_option(text.map(as_text).transpose()?);
        }
        Ok(Arc::new(column.finish()))
    }
}

fn all_texts(ends: &[usize], bytes: &[u8]) -> Result<ArrayRef> {
    check_text_bytes(bytes.len())?;
    let lengths = (0..ends.len()).map(|code| held(ends, bytes, code as u32).len());
    Ok(Arc::new(StringArray::try_new(OffsetBuffer::from_lengths(lengths), bytes.to_vec().into(), None)?))
}

/// The offsets of a string array are i32; arrow would panic beyond.
fn check_text_bytes(bytes: usize) -> Result<()> {
    if bytes > i32::MAX as usize {
        return Err(ExecError::Execution("more than 2 GiB of distinct text in one column of keys".into()));
    }
    Ok(())
}

fn as_text(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| ExecError::Internal("a text of keys is no text".into()))
}

/// The bytes of `code`.
fn held<'a>(ends: &[usize], bytes: &'a [u8], code: u32) -> &'a [u8] {
    let code = code as usize;
    let start = if code == 0 { 0 } else { ends[code - 1] };
    &bytes[start..ends[code]]
}
