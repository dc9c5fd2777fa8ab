//! Single rows of a block and their values, as the cache keeps them: the rows, then as many words.

/// `rows`, ascending, and their `words`.
pub(super) fn remember(rows: &[u32], words: &[u64]) -> Vec<u8> {
    debug_assert_eq!(rows.len(), words.len(), "a word for each row");
    let mut bytes = Vec::with_capacity(rows.len() * ROW_BYTES);
    rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
    bytes
}

/// Bytes of a row's number and of its word.
const ROW_BYTES: usize = 4 + 8;

/// The words of `rows`, ascending, if all of them are among what was remembered.
pub(super) fn recall(bytes: &[u8], rows: &[u32]) -> Option<Vec<u64>> {
    let (known, words) = bytes.split_at(bytes.len() / ROW_BYTES * 4);
    let ((known, _), (words, _)) = (known.as_chunks::<4>(), words.as_chunks::<8>());
    let mut pairs = known.iter().map(|row| u32::from_le_bytes(*row)).zip(words);
    rows.iter()
        .map(|row| pairs.find(|(known, _)| known >= row).filter(|(known, _)| known == row))
        .map(|found| Some(u64::from_le_bytes(*found?.1)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_remembered_is_recalled_and_nothing_else() {
        let bytes = remember(&[3, 7, 4095], &[30, 70, u64::MAX]);
        assert_eq!(recall(&bytes, &[3, 7, 4095]), Some(vec![30, 70, u64::MAX]));
        assert_eq!(recall(&bytes, &[7]), Some(vec![70]));
        assert_eq!(recall(&bytes, &[3, 4095]), Some(vec![30, u64::MAX]));
        assert_eq!(recall(&bytes, &[3, 8]), None);
        assert_eq!(recall(&bytes, &[4096]), None);
        assert_eq!(recall(&bytes, &[0]), None);
        assert_eq!(recall(&remember(&[], &[]), &[0]), None);
    }
}
