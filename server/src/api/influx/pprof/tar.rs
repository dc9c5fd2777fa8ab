//! A file of several files: tar, in the form that POSIX calls ustar.

/// Bytes of a record, of which everything in the file is a multiple.
const RECORD_BYTES: usize = 512;

/// Appends a file. Its name is text of less than a hundred bytes.
pub(super) fn append(out: &mut Vec<u8>, name: &str, seconds: u64, body: &[u8]) {
    let mut head = [0; RECORD_BYTES];
    let mut put = |at: usize, text: &[u8]| head[at..at + text.len()].copy_from_slice(text);
    put(0, &name.as_bytes()[..name.len().min(99)]);
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", body.len()).as_bytes());
    put(136, format!("{:011o}\0", seconds.min(0o77_777_777_777)).as_bytes());
    // The sum is made as if it were blanks.
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(RECORD_BYTES), 0);
}

/// Appends the end.
pub(super) fn finish(out: &mut Vec<u8>) {
    out.resize(out.len() + 2 * RECORD_BYTES, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_whole_and_their_sums_right() {
        let mut out = Vec::new();
        append(&mut out, "a.txt", 1_700_000_000, b"text");
        append(&mut out, "empty", u64::MAX, b"");
        finish(&mut out);
        assert_eq!(out.len(), 5 * RECORD_BYTES);
        let head = &out[..RECORD_BYTES];
        assert_eq!(
            (&head[..6], &head[124..136], &head[257..265]),
            (&b"a.txt\0"[..], &b"00000000004\0"[..], &b"ustar\x0000"[..])
        );
        assert_eq!(&out[512..520], b"text\0\0\0\0");
        let mut blank = head.to_vec();
        blank[148..156].fill(b' ');
        let sum: u32 = blank.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(&head[148..156], format!("{sum:06o}\0 ").as_bytes());
        assert!(out[3 * RECORD_BYTES..].iter().all(|byte| *byte == 0));
    }
}
