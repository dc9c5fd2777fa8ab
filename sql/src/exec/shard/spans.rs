//! In which order of time a fragment reads its rows: all at once, or in spans from one end of the time line, each
//! longer than the one before, so that the rest need not be read once there is enough.

use crate::stage::TimeOrder;
use crate::types::tiling::Tiling;

/// Into how many spans a query by time without buckets divides the time at hand; it reads 1, then 4, 16, … of them.
const TIME_SPANS: i64 = 256;

/// The first of these spans is at most such a part of a partition: else a few rows would cost more the longer the
/// history is.
const PARTITION_SPANS: i64 = 64;

/// Each span read is this many times as long as the one before.
const SPAN_GROWTH: i64 = 4;

/// Length of the first span that a query by time without buckets reads of `span`.
pub(super) fn first_width(span: (i64, i64), partition_length: i64) -> i64 {
    (span.1.saturating_sub(span.0) / TIME_SPANS).min(partition_length / PARTITION_SPANS).max(1)
}

/// Disjoint spans of time that together cover one span, in order of time one way or the other.
pub(super) struct Spans {
    rest: Option<(i64, i64)>,
    /// Spans begin and end with these buckets, except at the ends of the whole; `None` for all at once.
    bucket: Option<Tiling>,
    /// Buckets in the next span.
    buckets: i64,
    order: TimeOrder,
}

impl Spans {
    pub(super) fn whole(span: (i64, i64)) -> Self {
        Self { rest: Some(span), bucket: None, buckets: 1, order: TimeOrder::OldestFirst }
    }

    pub(super) fn by_time(span: (i64, i64), bucket: Tiling, buckets: i64, order: TimeOrder) -> Self {
        Self { rest: Some(span), bucket: Some(bucket), buckets: buckets.max(1), order }
    }
}

impl Iterator for Spans {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        let (first, last) = self.rest.take()?;
        let Some(bucket) = &self.bucket else { return Some((first, last)) };
        let further = self.buckets - 1;
        let span = match self.order {
            TimeOrder::NewestFirst => {
                (bucket.start(bucket.index(last).saturating_sub(further)).clamp(first, last), last)
            }
            TimeOrder::OldestFirst => {
                (first, bucket.last(bucket.index(first).saturating_add(further)).clamp(first, last))
            }
        };
        self.buckets = self.buckets.saturating_mul(SPAN_GROWTH);
        self.rest = match self.order {
            TimeOrder::NewestFirst => (span.0 > first).then(|| (first, span.0 - 1)),
            TimeOrder::OldestFirst => (span.1 < last).then(|| (span.1 + 1, last)),
        };
        Some(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_span_does_not_grow_with_the_history() {
        const DAY: i64 = 86_400_000;
        assert_eq!(first_width((0, DAY), DAY), DAY / TIME_SPANS);
        assert_eq!(first_width((0, 10 * DAY), DAY), DAY / PARTITION_SPANS);
        assert_eq!(first_width((0, 3650 * DAY), DAY), DAY / PARTITION_SPANS);
        assert_eq!([first_width((i64::MIN, i64::MAX), 1), first_width((5, 5), DAY)], [1, 1]);
        // Ten years are then covered in few steps.
        let bucket = Tiling::fixed(first_width((0, 3650 * DAY), DAY), 0);
        assert!(Spans::by_time((0, 3650 * DAY), bucket, 1, TimeOrder::NewestFirst).count() < 12);
    }

    #[test]
    fn spans_tile_the_whole_and_respect_buckets() {
        let bucket = Tiling::fixed(10, 0);
        let newest: Vec<_> = Spans::by_time((-7, 123), bucket.clone(), 2, TimeOrder::NewestFirst).collect();
        assert_eq!(newest, [(110, 123), (30, 109), (-7, 29)]);
        let oldest: Vec<_> = Spans::by_time((-7, 123), bucket, 2, TimeOrder::OldestFirst).collect();
        assert_eq!(oldest, [(-7, 9), (10, 89), (90, 123)]);
        let all: Vec<_> = Spans::whole((i64::MIN, i64::MAX)).collect();
        assert_eq!(all, [(i64::MIN, i64::MAX)]);
        let wide: Vec<_> =
            Spans::by_time((i64::MIN, i64::MAX), Tiling::fixed(1 << 62, 0), 9, TimeOrder::NewestFirst).collect();
        assert_eq!(wide, [(i64::MIN, i64::MAX)]);
    }
}
