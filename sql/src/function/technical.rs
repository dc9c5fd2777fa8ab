//! Transformations of technical analysis: moving averages that weigh the latest most, and what is made of them.
//!
//! Parameters are the period, how many first results are held back (less than 0: as many as the function needs), and
//! how the first values count ([`WARM_EXPONENTIAL`], [`WARM_SIMPLE`], [`WARM_NONE`]).

use std::collections::VecDeque;

use super::transform::{Number, Results, Step, Transformation, parameter};

/// The first values weigh less and less.
pub(crate) const WARM_EXPONENTIAL: f64 = 0.0;
/// The first values have their mean.
pub(crate) const WARM_SIMPLE: f64 = 1.0;
/// The first values are as all others.
pub(crate) const WARM_NONE: f64 = 2.0;

macro_rules! technical {
    ($($constant:ident $name:literal $text:literal => $begin:expr;)+) => {
        $(
            #[doc = $text]
            pub(crate) static $constant: Transformation = Transformation {
                name: $name,
                results: Results::Double,
                begin: |parameters| {
                    let make: fn(&Settings) -> (Box<dyn Indicator>, usize) = $begin;
                    Box::new(Held::new(parameters, make))
                },
            };
        )+
    };
}

technical! {
    EXPONENTIAL "exponential_moving_average" "A moving average that weighs the latest most." =>
        |of| (Box::new(Chained::new(of, 1, |e| e[0])), of.period - 1);
    DOUBLE "double_exponential_moving_average" "The same without most of its lag." =>
        |of| (Box::new(Chained::new(of, 2, |e| 2.0 * e[0] - e[1])), of.first_of(2));
    TRIPLE "triple_exponential_moving_average" "The same with hardly any lag." =>
        |of| (Box::new(Chained::new(of, 3, |e| 3.0 * e[0] - 3.0 * e[1] + e[2])), of.first_of(3));
    TRIX "triple_exponential_derivative" "Percent change of a threefold moving average." =>
        |of| (
            Box::new(Percent { of: Chained::new(of, 3, |e| e[2]), before: None }),
            if of.warm == WARM_SIMPLE { 3 * (of.period - 1) + 1 } else { of.period },
        );
    STRENGTH "relative_strength_index" "How much of the changes goes up, in percent." =>
        |of| (Box::new(Strength::new(of)), of.period);
    EFFICIENCY "kaufmans_efficiency_ratio" "Change over the sum of the changes on the way." =>
        |of| (Box::new(Efficiency::new(of.period)), of.period);
    ADAPTIVE "kaufmans_adaptive_moving_average" "A moving average that is faster where changes go one way." =>
        |of| (Box::new(Adaptive { efficiency: Efficiency::new(of.period), average: 0.0 }), of.period);
    MOMENTUM "chande_momentum_oscillator" "What goes up less what goes down, of all changes, in percent." =>
        |of| (Box::new(Momentum::new(of)), if of.warm == WARM_NONE { of.period - 1 } else { of.period });
}

struct Settings {
    period: usize,
    warm: f64,
}

impl Settings {
    /// Results to hold back of averages of averages, of which there are `averages`.
    fn first_of(&self, averages: usize) -> usize {
        if self.warm == WARM_SIMPLE { averages * (self.period - 1) } else { self.period - 1 }
    }
}

/// What is computed from each value.
trait Indicator {
    fn next(&mut self, value: f64) -> f64;
}

/// An indicator whose first results are held back.
struct Held {
    indicator: Box<dyn Indicator>,
    hold: usize,
    seen: usize,
}

impl Held {
    fn new(parameters: &[f64], make: fn(&Settings) -> (Box<dyn Indicator>, usize)) -> Self {
        let period = (parameter(parameters, 0) as usize).max(1);
        let settings = Settings { period, warm: parameter(parameters, 2) };
        let (indicator, own) = make(&settings);
        let hold = parameter(parameters, 1);
        Self { indicator, hold: if hold < 0.0 { own } else { hold as usize }, seen: 0 }
    }
}

impl Step for Held {
    fn next(&mut self, _: i64, value: Number) -> Option<Number> {
        let result = self.indicator.next(value.float());
        self.seen = self.seen.saturating_add(1);
        (self.seen > self.hold).then_some(Number::Float(result))
    }
}

/// An exponential moving average.
struct Average {
    alpha: f64,
    /// Values that count as the first.
    warm_len: usize,
    is_simple: bool,
    seen: usize,
    value: f64,
}

impl Average {
    fn new(alpha: f64, warm_len: usize, is_simple: bool) -> Self {
        Self { alpha, warm_len, is_simple, seen: 0, value: 0.0 }
    }

    fn next(&mut self, value: f64) -> f64 {
        let weight = match () {
            () if self.seen == 0 => 1.0,
            () if self.seen >= self.warm_len => self.alpha,
            () if self.is_simple => 1.0 / (self.seen + 1) as f64,
            () => 2.0 / (self.seen + 2) as f64,
        };
        self.value = if self.seen == 0 { value } else { self.value + weight * (value - self.value) };
        self.seen = self.seen.saturating_add(1);
        self.value
    }

    fn is_warm(&self) -> bool {
        self.seen >= self.warm_len
    }
}

/// Averages, each of the one before.
struct Chained {
    averages: Vec<Average>,
    result: fn(&[f64]) -> f64,
}

impl Chained {
    fn new(of: &Settings, count: usize, result: fn(&[f64]) -> f64) -> Self {
        let is_simple = of.warm == WARM_SIMPLE;
        let average = || Average::new(2.0 / (of.period + 1) as f64, of.period, is_simple);
        Self { averages: (0..count).map(|_| average()).collect(), result }
    }
}

impl Indicator for Chained {
    fn next(&mut self, value: f64) -> f64 {
        let mut value = value;
        let mut is_warm = true;
        let mut values = Vec::with_capacity(self.averages.len());
        for average in &mut self.averages {
            // The mean of a few first values is an average's first value once it is whole.
            if is_warm {
                value = average.next(value);
                is_warm = !average.is_simple || average.is_warm();
            }
            values.push(value);
        }
        (self.result)(&values)
    }
}

struct Percent {
    of: Chained,
    before: Option<f64>,
}

impl Indicator for Percent {
    fn next(&mut self, value: f64) -> f64 {
        let value = self.of.next(value);
        let before = self.before.replace(value).unwrap_or(0.0);
        (value / before - 1.0) * 100.0
    }
}

struct Strength {
    up: Average,
    down: Average,
    before: f64,
}

impl Strength {
    fn new(of: &Settings) -> Self {
        let average = || Average::new(1.0 / of.period as f64, of.period + 1, of.warm == WARM_SIMPLE);
        Self { up: average(), down: average(), before: 0.0 }
    }
}

impl Indicator for Strength {
    fn next(&mut self, value: f64) -> f64 {
        let change = value - std::mem::replace(&mut self.before, value);
        let (up, down) = (self.up.next(change.max(0.0)), self.down.next((-change).max(0.0)));
        100.0 - 100.0 / (1.0 + up / down)
    }
}

struct Efficiency {
    /// The last values, the oldest first.
    values: VecDeque<f64>,
    period: usize,
}

impl Efficiency {
    fn new(period: usize) -> Self {
        Self { values: VecDeque::new(), period }
    }
}

impl Indicator for Efficiency {
    fn next(&mut self, value: f64) -> f64 {
        self.values.push_back(value);
        if self.values.len() > self.period + 1 {
            self.values.pop_front();
        }
        let change = (value - self.values.front().copied().unwrap_or(value)).abs();
        let way: f64 = self.values.iter().zip(self.values.iter().skip(1)).map(|(one, next)| (next - one).abs()).sum();
        if change == 0.0 || way == 0.0 { 0.0 } else { change / way }
    }
}

struct Adaptive {
    efficiency: Efficiency,
    average: f64,
}

impl Indicator for Adaptive {
    fn next(&mut self, value: f64) -> f64 {
        /// 2 / 31, and what is missing to 2 / 3: both exact before they are rounded.
        const SLOW: f64 = 0.064_516_129_032_258_06;
        const TO_FAST: f64 = 0.602_150_537_634_408_6;
        let is_filling = self.efficiency.values.len() < self.efficiency.period;
        let ratio = self.efficiency.next(value);
        if is_filling {
            self.average = value;
            return value;
        }
        let smoothing = (ratio * TO_FAST + SLOW).powi(2);
        self.average += smoothing * (value - self.average);
        self.average
    }
}

struct Momentum {
    before: Option<f64>,
    /// The last changes, the oldest first; not kept where averages are.
    changes: VecDeque<f64>,
    period: usize,
    averages: Option<(Average, Average)>,
}

impl Momentum {
    fn new(of: &Settings) -> Self {
        let average = || Average::new(1.0 / of.period as f64, of.period, of.warm == WARM_SIMPLE);
        let averages = (of.warm != WARM_NONE).then(|| (average(), average()));
        Self { before: None, changes: VecDeque::new(), period: of.period, averages }
    }
}

impl Indicator for Momentum {
    fn next(&mut self, value: f64) -> f64 {
        let Some(before) = self.before.replace(value) else { return 0.0 };
        let change = value - before;
        let (up, down) = match &mut self.averages {
            Some((up, down)) => (up.next(change.max(0.0)), down.next((-change).max(0.0))),
            None => {
                self.changes.push_back(change);
                if self.changes.len() > self.period {
                    self.changes.pop_front();
                }
                let sum = |of: fn(f64) -> f64| self.changes.iter().map(|change| of(*change)).sum::<f64>();
                (sum(|change| change.max(0.0)), sum(|change| (-change).max(0.0)))
            }
        };
        100.0 * (up - down) / (up + down)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(of: &Transformation, parameters: [f64; 3], values: &[f64]) -> Vec<Option<f64>> {
        let mut step = (of.begin)(&parameters);
        values.iter().map(|value| step.next(0, Number::Float(*value)).map(Number::float)).collect()
    }

    #[test]
    fn first_results_are_held_back_and_constants_are_their_own_average() {
        for of in [&EXPONENTIAL, &DOUBLE, &TRIPLE, &ADAPTIVE] {
            for warm in [WARM_EXPONENTIAL, WARM_SIMPLE] {
                let results = run(of, [3.0, -1.0, warm], &[5.0; 12]);
                assert!(results[0].is_none() && results[11].is_some(), "{of:?}");
                assert!(results.iter().flatten().all(|result| *result == 5.0), "{of:?}");
            }
        }
        let all = run(&EXPONENTIAL, [3.0, 0.0, WARM_SIMPLE], &[1.0, 3.0, 5.0, 5.0]);
        assert_eq!(all, [Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
    }

    #[test]
    fn values_that_only_rise() {
        let rising: Vec<f64> = (1..=8).map(f64::from).collect();
        let last = |of: &Transformation, warm| run(of, [3.0, -1.0, warm], &rising).last().copied().flatten();
        assert_eq!(last(&STRENGTH, WARM_EXPONENTIAL), Some(100.0));
        assert_eq!(last(&EFFICIENCY, WARM_EXPONENTIAL), Some(1.0));
        assert_eq!(last(&MOMENTUM, WARM_NONE), Some(100.0));
        assert!(last(&TRIX, WARM_EXPONENTIAL).is_some_and(|change| change > 0.0));
    }
}
