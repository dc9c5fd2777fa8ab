//! Many series with little in each: every pass visits every series once, in an order that is not the order of their
//! names, so that a series index sees scattered keys.

use std::io::Write;

use super::walk::Normal;
use super::{Row, Rows, Shape};

/// Time between two passes over all series.
pub(crate) const PASS_NS: i64 = 60_000_000_000;

pub(super) struct Highcard {
    series: u64,
    /// Next place in the pass.
    place: u64,
    /// Coprime with `series`, so that `place * stride mod series` visits each once.
    stride: u64,
    time_ns: i64,
    rng: fastrand::Rng,
    normal: Normal,
}

impl Highcard {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        let series = shape.hosts;
        // Near the golden section: neighbours in time are far apart in number.
        let mut stride = (series as f64 * 0.618_033_988_75) as u64 | 1;
        while greatest_common_divisor(stride, series) != 1 {
            stride += 1;
        }
        let normal = Normal::new(rng.fork());
        Self { series, place: 0, stride, time_ns: shape.start_ns, rng, normal }
    }
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

impl Rows for Highcard {
    fn next_row(&mut self, line: &mut Vec<u8>) -> Row {
        let id = (u128::from(self.place) * u128::from(self.stride) % u128::from(self.series)) as u64;
        let count = self.rng.u32(..1_000);
        let level = 20.0 + self.normal.next();
        // Writing into a Vec cannot fail.
        let _ = write!(line, "sensor,id=sensor_{id:08x},site=site_{} count={count}i,level={level:.3} ", id % 1_000);
        let row = Row { time_ns: self.time_ns, values: 2 };
        self.place += 1;
        if self.place == self.series {
            self.place = 0;
            self.time_ns += PASS_NS;
        }
        row
    }
}
