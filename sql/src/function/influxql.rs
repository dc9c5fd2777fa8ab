//! The functions of InfluxQL, as data: names, arguments and kernels, and what `docs/influxql.md` says of them.

use super::aggregate as agg;
use super::arithmetic as math;
use super::technical as ta;
use super::transform::{self as tr, Transformation};
use crate::expr::ScalarFunction;

/// What a function is called and does.
#[derive(Debug)]
pub struct InfluxFunction {
    /// Name.
    pub name: &'static str,
    /// A call with its arguments.
    pub usage: &'static str,
    /// What it gives.
    pub text: &'static str,
    /// Of what kind it is.
    pub kind: Kind,
}

/// Kinds of functions.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One value of the rows of a window.
    Aggregate(Fold),
    /// One row of a window.
    Selector(Fold),
    /// Some rows of a window.
    Rows(Rows),
    /// Each different value of a window.
    Distinct,
    /// The area under the line between the values of a window.
    Integral,
    /// A value from a value and those before it.
    Transformation(Transforming),
    /// How the values of windows go on.
    Forecast {
        /// What the model says of the values that are known is given too.
        with_fit: bool,
    },
    /// A value from the values of one row.
    Math {
        /// Its kernel.
        function: &'static ScalarFunction,
        /// Number of arguments.
        arguments: usize,
        /// Type of the result.
        gives: MathResult,
    },
}

/// Type of a computed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MathResult {
    /// Of an integer an integer.
    Argument,
    /// DOUBLE.
    Double,
}

/// How rows of a window become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum Fold {
    Count,
    Sum,
    Mean,
    Median,
    Mode,
    Spread,
    Stddev,
    Min,
    Max,
    First,
    Last,
    Percentile,
}

/// Which rows of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the function of its name")]
pub enum Rows {
    Top,
    Bottom,
    Sample,
}

/// A transformation and what its second argument is.
#[derive(Debug, Clone, Copy)]
pub struct Transforming {
    /// How a column is transformed.
    pub transformation: &'static Transformation,
    /// The second argument.
    pub second: Second,
    /// Windows before the range whose values count.
    pub before: Before,
}

/// The second argument of a transformation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    /// There is none.
    None,
    /// A duration that may be left out: then a second, or the width of the windows.
    Unit,
    /// A duration that may be left out: then a nanosecond.
    Elapsed,
    /// How many values.
    Count,
    /// A period; after it may stand how many results are held back, and how the first values count.
    Period(Warming),
}

/// How the first values of technical analysis may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warming {
    /// There is one way.
    Fixed,
    /// `'exponential'` or `'simple'`.
    Averaged,
    /// The same, or `'none'`, which is meant where nothing is said.
    AveragedOrNone,
}

/// Windows before the range of a statement whose values count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// None: what it gives is of the range alone.
    None,
    /// One.
    One,
    /// As many as the second argument says.
    Count,
}

const fn of(name: &'static str, usage: &'static str, text: &'static str, kind: Kind) -> InfluxFunction {
    InfluxFunction { name, usage, text, kind }
}

const fn double(
    name: &'static str,
    usage: &'static str,
    text: &'static str,
    f: &'static ScalarFunction,
) -> InfluxFunction {
    of(name, usage, text, Kind::Math { function: f, arguments: 1, gives: MathResult::Double })
}

const fn doubles(
    name: &'static str,
    usage: &'static str,
    text: &'static str,
    f: &'static ScalarFunction,
) -> InfluxFunction {
    of(name, usage, text, Kind::Math { function: f, arguments: 2, gives: MathResult::Double })
}

const fn whole(
    name: &'static str,
    usage: &'static str,
    text: &'static str,
    f: &'static ScalarFunction,
) -> InfluxFunction {
    of(name, usage, text, Kind::Math { function: f, arguments: 1, gives: MathResult::Argument })
}

const fn transformed(
    name: &'static str,
    usage: &'static str,
    text: &'static str,
    transformation: &'static Transformation,
    second: Second,
    before: Before,
) -> InfluxFunction {
    of(name, usage, text, Kind::Transformation(Transforming { transformation, second, before }))
}

const fn technical(
    name: &'static str,
    usage: &'static str,
    text: &'static str,
    transformation: &'static Transformation,
    warming: Warming,
) -> InfluxFunction {
    transformed(name, usage, text, transformation, Second::Period(warming), Before::Count)
}

/// All of them, by kind.
pub static FUNCTIONS: [InfluxFunction; 52] = [
    of("count", "count(x)", "Number of values; of `distinct(x)` of different ones.", Kind::Aggregate(Fold::Count)),
    of("distinct", "distinct(x)", "Each different value, in the order of their first times.", Kind::Distinct),
    of("integral", "integral(x[, unit])", "Area under the line between the values, by units of time.", Kind::Integral),
    of("mean", "mean(x)", "Arithmetic mean.", Kind::Aggregate(Fold::Mean)),
    of("median", "median(x)", "The value in the middle, or the mean of the two.", Kind::Aggregate(Fold::Median)),
    of("mode", "mode(x)", "The most frequent value, of several the earliest.", Kind::Aggregate(Fold::Mode)),
    of("spread", "spread(x)", "Greatest value less least value.", Kind::Aggregate(Fold::Spread)),
    of("stddev", "stddev(x)", "Standard deviation of a sample.", Kind::Aggregate(Fold::Stddev)),
    of("sum", "sum(x)", "Sum, of the type of the values.", Kind::Aggregate(Fold::Sum)),
    of("bottom", "bottom(x[, tag, …], n)", "The `n` least values, of each tag at most one.", Kind::Rows(Rows::Bottom)),
    of("first", "first(x)", "The earliest value.", Kind::Selector(Fold::First)),
    of("last", "last(x)", "The latest value.", Kind::Selector(Fold::Last)),
    of("max", "max(x)", "The greatest value.", Kind::Selector(Fold::Max)),
    of("min", "min(x)", "The least value.", Kind::Selector(Fold::Min)),
    of("percentile", "percentile(x, n)", "The value of rank `n` percent.", Kind::Selector(Fold::Percentile)),
    of("sample", "sample(x, n)", "`n` values by chance.", Kind::Rows(Rows::Sample)),
    of("top", "top(x[, tag, …], n)", "The `n` greatest values, of each tag at most one.", Kind::Rows(Rows::Top)),
    transformed(
        "cumulative_sum",
        "cumulative_sum(x)",
        "Sum of the values so far.",
        &tr::CUMULATIVE_SUM,
        Second::None,
        Before::None,
    ),
    transformed(
        "derivative",
        "derivative(x[, unit])",
        "Change for each unit of time.",
        &tr::DERIVATIVE,
        Second::Unit,
        Before::One,
    ),
    transformed("difference", "difference(x)", "Change.", &tr::DIFFERENCE, Second::None, Before::One),
    transformed(
        "elapsed",
        "elapsed(x[, unit])",
        "Time since the value before, in whole units.",
        &tr::ELAPSED,
        Second::Elapsed,
        Before::One,
    ),
    transformed(
        "moving_average",
        "moving_average(x, n)",
        "Mean of the last `n` values.",
        &tr::MOVING_AVERAGE,
        Second::Count,
        Before::Count,
    ),
    transformed(
        "non_negative_derivative",
        "non_negative_derivative(x[, unit])",
        "Change for each unit of time, where it is not negative.",
        &tr::NON_NEGATIVE_DERIVATIVE,
        Second::Unit,
        Before::One,
    ),
    transformed(
        "non_negative_difference",
        "non_negative_difference(x)",
        "Change, where it is not negative.",
        &tr::NON_NEGATIVE_DIFFERENCE,
        Second::None,
        Before::One,
    ),
    technical(
        "chande_momentum_oscillator",
        "chande_momentum_oscillator(x, period[, hold[, warmup]])",
        "What goes up less what goes down, of all changes, in percent.",
        &ta::MOMENTUM,
        Warming::AveragedOrNone,
    ),
    technical(
        "double_exponential_moving_average",
        "double_exponential_moving_average(x, period[, hold[, warmup]])",
        "An exponential moving average with less lag.",
        &ta::DOUBLE,
        Warming::Averaged,
    ),
    technical(
        "exponential_moving_average",
        "exponential_moving_average(x, period[, hold[, warmup]])",
        "A moving average that weighs the latest most.",
        &ta::EXPONENTIAL,
        Warming::Averaged,
    ),
    technical(
        "kaufmans_adaptive_moving_average",
        "kaufmans_adaptive_moving_average(x, period[, hold])",
        "A moving average that is faster where changes go one way.",
        &ta::ADAPTIVE,
        Warming::Fixed,
    ),
    technical(
        "kaufmans_efficiency_ratio",
        "kaufmans_efficiency_ratio(x, period[, hold])",
        "Change over the sum of the changes on the way.",
        &ta::EFFICIENCY,
        Warming::Fixed,
    ),
    technical(
        "relative_strength_index",
        "relative_strength_index(x, period[, hold[, warmup]])",
        "How much of the changes goes up, in percent.",
        &ta::STRENGTH,
        Warming::Averaged,
    ),
    technical(
        "triple_exponential_derivative",
        "triple_exponential_derivative(x, period[, hold[, warmup]])",
        "Percent change of a threefold exponential moving average.",
        &ta::TRIX,
        Warming::Averaged,
    ),
    technical(
        "triple_exponential_moving_average",
        "triple_exponential_moving_average(x, period[, hold[, warmup]])",
        "An exponential moving average with hardly any lag.",
        &ta::TRIPLE,
        Warming::Averaged,
    ),
    of(
        "holt_winters",
        "holt_winters(x, n, season)",
        "The next `n` windows, foretold; a season has `season` windows.",
        Kind::Forecast { with_fit: false },
    ),
    of(
        "holt_winters_with_fit",
        "holt_winters_with_fit(x, n, season)",
        "The same, and what is foretold of the windows that are known.",
        Kind::Forecast { with_fit: true },
    ),
    whole("abs", "abs(x)", "The value without its sign.", &math::ABS),
    double("acos", "acos(x)", "Arc cosine.", &math::ACOS),
    double("asin", "asin(x)", "Arc sine.", &math::ASIN),
    double("atan", "atan(x)", "Arc tangent.", &math::ATAN),
    doubles("atan2", "atan2(y, x)", "Angle of the point (x, y).", &math::ATAN2),
    whole("ceil", "ceil(x)", "The least whole number that is not less.", &math::CEIL),
    double("cos", "cos(x)", "Cosine.", &math::COS),
    double("exp", "exp(x)", "e to the power of the value.", &math::EXP),
    whole("floor", "floor(x)", "The greatest whole number that is not greater.", &math::FLOOR),
    double("ln", "ln(x)", "Natural logarithm.", &math::LN),
    doubles("log", "log(x, base)", "Logarithm.", &math::LOG),
    double("log10", "log10(x)", "Logarithm to the base 10.", &math::LOG10),
    double("log2", "log2(x)", "Logarithm to the base 2.", &math::LOG2),
    doubles("pow", "pow(x, y)", "Power.", &math::POW),
    whole("round", "round(x)", "The nearest whole number, halves away from zero.", &math::ROUND),
    double("sin", "sin(x)", "Sine.", &math::SIN),
    double("sqrt", "sqrt(x)", "Square root.", &math::SQRT),
    double("tan", "tan(x)", "Tangent.", &math::TAN),
];

/// The function called `name`, in lower case.
pub fn find(name: &str) -> Option<&'static InfluxFunction> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

impl Fold {
    /// The aggregate of one value that it is, where it is one.
    pub(crate) fn of_one_value(self) -> Option<&'static crate::expr::AggregateFunction> {
        match self {
            Self::Sum => agg::SUM.of_one_value(),
            Self::Mean => agg::MEAN.of_one_value(),
            Self::Min => agg::MIN.of_one_value(),
            Self::Max => agg::MAX.of_one_value(),
            Self::Count => Some(&agg::COUNT),
            Self::Stddev => Some(&agg::STDDEV),
            Self::Median => agg::MEDIAN.of_one_value(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_function_and_is_described() {
        for (at, function) in FUNCTIONS.iter().enumerate() {
            assert!(FUNCTIONS[..at].iter().all(|other| other.name != function.name), "{}", function.name);
            assert!(function.usage.starts_with(function.name) && function.text.ends_with('.'), "{}", function.name);
        }
    }
}
