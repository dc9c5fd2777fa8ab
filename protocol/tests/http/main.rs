//! HTTP from the outside: requests and bodies as bytes, valid and hostile, in every split.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests stop at the first surprise")]

mod body;
mod content;
mod head;
mod query;
mod response;

/// Seeds of the random tests; `TIDEWIRE_SEED` replaces them to replay one failure.
fn seeds() -> Vec<u64> {
    match std::env::var("TIDEWIRE_SEED") {
        Ok(text) => vec![text.parse().expect("TIDEWIRE_SEED is a number")],
        Err(_) => vec![1, 2, 3, 0xC0FFEE],
    }
}
