//! Rows that are older than their retention policy keeps rows, as those at the end of every export are by the time it
//! is read: which of a batch they are.
//!
//! A server that takes all rows of a request or none says only that there are some. They are the oldest ones of the
//! batch, so that they are found in a few requests: the youngest row is asked for alone. If it has expired, all have;
//! if it is written, the others are divided at their middle, and each half is treated in the same way, unless it is
//! taken as a whole.

/// Rows in the order of their times; those without one come last, for they get the time of now. `text` gives a row as a
/// line.
pub(super) fn by_time<T: AsRef<[u8]>>(rows: &[usize], text: impl Fn(usize) -> T) -> Vec<usize> {
    let mut rows = rows.to_vec();
    rows.sort_by_cached_key(|row| time_of(text(*row).as_ref()).unwrap_or(i64::MAX));
    rows
}

/// The time of a line: what stands behind its last space, if that is a number.
fn time_of(line: &[u8]) -> Option<i64> {
    let line = line.trim_ascii_end();
    let behind = line.rsplit(|byte| *byte == b' ').next()?;
    std::str::from_utf8(behind).ok()?.parse().ok()
}

/// Writes the rows `by_time` that have not expired. `write` is given some, and gives false where it has written none,
/// since one of them at least has expired.
pub(super) fn divide(
    by_time: &[usize],
    write: &mut impl FnMut(&[usize]) -> Result<bool, String>,
    expired: &mut u64,
) -> Result<(), String> {
    let Some((youngest, older)) = by_time.split_last() else { return Ok(()) };
    if !write(std::slice::from_ref(youngest))? {
        *expired += by_time.len() as u64;
        return Ok(());
    }
    let (old, young) = older.split_at(older.len() / 2);
    // The young half most likely as a whole; of rows with one time the later ones go last, as they stand in the file.
    if !young.is_empty() && !write(young)? {
        divide(young, write, expired)?;
        *expired += old.len() as u64;
        return Ok(());
    }
    if !old.is_empty() && !write(old)? {
        divide(old, write, expired)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_that_have_expired_are_found_in_few_requests() {
        for rows in [1_usize, 2, 3, 10, 1000] {
            for expired in [0, 1, rows / 2, rows - 1, rows] {
                let all: Vec<usize> = (0..rows).collect();
                let (mut written, mut requests, mut counted) = (Vec::new(), 0, 0);
                let mut write = |some: &[usize]| {
                    requests += 1;
                    let is_young = some.iter().all(|row| *row >= expired);
                    if is_young {
                        written.extend_from_slice(some);
                    }
                    Ok(is_young)
                };
                divide(&all, &mut write, &mut counted).unwrap();
                written.sort_unstable();
                assert_eq!(written, (expired..rows).collect::<Vec<_>>(), "{expired} of {rows}");
                assert_eq!(counted, expired as u64);
                assert!(requests <= 3 * (rows.ilog2() + 2), "{requests} for {expired} of {rows}");
            }
        }
    }

    #[test]
    fn lines_are_put_in_the_order_of_their_times() {
        let lines = ["m v=1 5", "m v=2i", "m,a=b s=\"x 1\" -3", "m s=\"x 1\"", "m v=3 5\r\n"];
        let rows: Vec<usize> = (0..lines.len()).collect();
        assert_eq!(by_time(&rows, |row| lines[row].as_bytes()), [2, 0, 4, 1, 3]);
    }
}
