//! Which shard owns a series.

use xxhash_rust::xxh3::xxh3_64;

/// The owner of the series `table` + `tags` (names and values, sorted by name) among `shards` shards: xxh3 over table
/// name, tag names and tag values, each ended by its length so that no two keys run together. xxh3 because its output
/// is specified: the data directory depends on it.
pub fn owner<'a>(table: &str, tags: impl IntoIterator<Item = (&'a str, &'a str)>, shards: u32) -> u32 {
    let tags = tags.into_iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    owner_in(table, tags, shards, &mut Vec::new())
}

/// The same of tags as bytes, with `text` as room to work in.
pub fn owner_in<'a>(
    table: &str,
    tags: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    shards: u32,
    text: &mut Vec<u8>,
) -> u32 {
    text.clear();
    let mut part = |bytes: &[u8]| {
        text.extend_from_slice(bytes);
        text.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    };
    part(table.as_bytes());
    for (name, value) in tags {
        part(name);
        part(value);
    }
    // The high half spreads as well as the low one; multiply-shift maps it to 0..shards without a division's bias.
    (((xxh3_64(text) >> 32) * u64::from(shards)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_of_a_series_never_changes() {
        // A data directory is laid out by these numbers.
        let owners: Vec<u32> = (0..8).map(|i| owner("cpu", [("host", format!("h{i}").as_str())], 4)).collect();
        assert_eq!(owners, [2, 2, 2, 0, 3, 2, 0, 1]);
        assert_ne!(owner("ab", [("c", "d")], 1 << 20), owner("a", [("bc", "d")], 1 << 20));
    }

    #[test]
    fn owners_are_spread_evenly() {
        let mut counts = [0u32; 3];
        for i in 0..30_000 {
            counts[owner("cpu", [("host", format!("host_{i}").as_str())], 3) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
    }
}
