//! Transformations: a value is computed from a value and those before it in its series.

/// A number of either kind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// BIGINT.
    Int(i64),
    /// DOUBLE.
    Float(f64),
}

impl Number {
    /// As DOUBLE.
    pub fn float(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// As BIGINT.
    pub fn int(self) -> i64 {
        match self {
            Self::Int(value) => value,
            Self::Float(value) => value as i64,
        }
    }

    fn minus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => Self::Int(one.wrapping_sub(other)),
            (one, other) => Self::Float(one.float() - other.float()),
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Int(one), Self::Int(other)) => Self::Int(one.wrapping_add(other)),
            (one, other) => Self::Float(one.float() + other.float()),
        }
    }
}

/// Type of a transformation's results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// That of the value.
    Value,
    /// DOUBLE.
    Double,
    /// BIGINT.
    BigInt,
}

/// How a column is transformed. There is one of each.
pub struct Transformation {
    /// Name.
    pub name: &'static str,
    /// Type of the results.
    pub(crate) results: Results,
    /// The state at the beginning of a series, for the parameters of a call.
    pub(crate) begin: fn(&[f64]) -> Box<dyn Step>,
}

impl std::fmt::Debug for Transformation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A transformation at work on one series.
pub(crate) trait Step {
    /// The result for the next value, if it has one.
    fn next(&mut self, time_ns: i64, value: Number) -> Option<Number>;
}

/// `derivative`: change for each `parameters[0]` nanoseconds.
pub(crate) static DERIVATIVE: Transformation = Transformation {
    name: "derivative",
    results: Results::Double,
    begin: |parameters| Box::new(Change::new(Some(parameter(parameters, 0)), false)),
};

/// `non_negative_derivative`
pub(crate) static NON_NEGATIVE_DERIVATIVE: Transformation = Transformation {
    name: "non_negative_derivative",
    results: Results::Double,
    begin: |parameters| Box::new(Change::new(Some(parameter(parameters, 0)), true)),
};

/// `difference`
pub(crate) static DIFFERENCE: Transformation =
    Transformation { name: "difference", results: Results::Value, begin: |_| Box::new(Change::new(None, false)) };

/// `non_negative_difference`
pub(crate) static NON_NEGATIVE_DIFFERENCE: Transformation = Transformation {
    name: "non_negative_difference",
    results: Results::Value,
    begin: |_| Box::new(Change::new(None, true)),
};

/// `cumulative_sum`
pub(crate) static CUMULATIVE_SUM: Transformation =
    Transformation { name: "cumulative_sum", results: Results::Value, begin: |_| Box::new(Sum(None)) };

/// `moving_average`: over `parameters[0]` values.
pub(crate) static MOVING_AVERAGE: Transformation = Transformation {
    name: "moving_average",
    results: Results::Double,
    begin: |parameters| {
        Box::new(Average { values: Vec::new(), size: parameter(parameters, 0) as usize, at: 0, sum: 0.0 })
    },
};

/// `elapsed`: in units of `parameters[0]` nanoseconds.
pub(crate) static ELAPSED: Transformation = Transformation {
    name: "elapsed",
    results: Results::BigInt,
    begin: |parameters| Box::new(Elapsed { unit_ns: parameter(parameters, 0) as i64, before: None }),
};

/// A parameter that the binder has put there.
pub(super) fn parameter(parameters: &[f64], at: usize) -> f64 {
    parameters.get(at).copied().unwrap_or(1.0)
}

/// The change from the value before. Of values of one time only the first counts.
struct Change {
    /// The result is for this many nanoseconds.
    unit_ns: Option<f64>,
    non_negative: bool,
    before: Option<(i64, Number)>,
}

impl Change {
    fn new(unit_ns: Option<f64>, non_negative: bool) -> Self {
        Self { unit_ns, non_negative, before: None }
    }
}

impl Step for Change {
    fn next(&mut self, time_ns: i64, value: Number) -> Option<Number> {
        if self.before.is_some_and(|(before, _)| before == time_ns) {
            return None;
        }
        let (then, before) = self.before.replace((time_ns, value))?;
        let change = value.minus(before);
        if self.non_negative && change.float() < 0.0 {
            return None;
        }
        Some(match self.unit_ns {
            None => change,
            Some(unit_ns) => Number::Float(change.float() / (time_ns.abs_diff(then) as f64 / unit_ns)),
        })
    }
}

struct Sum(Option<Number>);

impl Step for Sum {
    fn next(&mut self, _: i64, value: Number) -> Option<Number> {
        let sum = self.0.map_or(value, |sum| sum.plus(value));
        self.0 = Some(sum);
        Some(sum)
    }
}

struct Average {
    values: Vec<f64>,
    size: usize,
    /// Where the oldest is, once there are all.
    at: usize,
    sum: f64,
}

impl Step for Average {
    fn next(&mut self, _: i64, value: Number) -> Option<Number> {
        let value = value.float();
        if self.values.len() < self.size {
            self.sum += value;
            self.values.push(value);
        } else {
            self.sum += value - self.values[self.at];
            self.values[self.at] = value;
            self.at = (self.at + 1) % self.size;
        }
        (self.values.len() == self.size).then(|| Number::Float(self.sum / self.size as f64))
    }
}

struct Elapsed {
    unit_ns: i64,
    before: Option<i64>,
}

impl Step for Elapsed {
    fn next(&mut self, time_ns: i64, _: Number) -> Option<Number> {
        let before = self.before.replace(time_ns)?;
        Some(Number::Int(time_ns.saturating_sub(before) / self.unit_ns.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(transformation: &Transformation, parameters: &[f64], values: &[(i64, f64)]) -> Vec<Option<f64>> {
        let mut step = (transformation.begin)(parameters);
        values.iter().map(|(time, value)| step.next(*time, Number::Float(*value)).map(Number::float)).collect()
    }

    #[test]
    fn changes_skip_values_of_one_time_and_follow_either_order() {
        let values = [(0, 1.0), (0, 9.0), (10, 3.0), (20, 2.0)];
        assert_eq!(run(&DIFFERENCE, &[], &values), [None, None, Some(2.0), Some(-1.0)]);
        assert_eq!(run(&NON_NEGATIVE_DIFFERENCE, &[], &values), [None, None, Some(2.0), None]);
        assert_eq!(run(&DERIVATIVE, &[5.0], &values), [None, None, Some(1.0), Some(-0.5)]);
        let mut backwards = values;
        backwards.reverse();
        assert_eq!(run(&DERIVATIVE, &[5.0], &backwards), [None, Some(0.5), Some(3.0), None]);
    }

    #[test]
    fn sums_averages_and_times() {
        let values = [(0, 1.0), (10, 3.0), (25, 5.0)];
        assert_eq!(run(&CUMULATIVE_SUM, &[], &values), [Some(1.0), Some(4.0), Some(9.0)]);
        assert_eq!(run(&MOVING_AVERAGE, &[2.0], &values), [None, Some(2.0), Some(4.0)]);
        assert_eq!(run(&ELAPSED, &[10.0], &values), [None, Some(1.0), Some(1.0)]);
        let mut sum = (CUMULATIVE_SUM.begin)(&[]);
        sum.next(0, Number::Int(i64::MAX));
        assert_eq!(sum.next(1, Number::Int(1)), Some(Number::Int(i64::MIN)), "integers wrap");
    }
}
