//! `holt_winters`: how a series of windows goes on, by exponential smoothing of its level, its trend and its seasons.
//!
//! 1. [`History`] puts the values into windows of one width; a window without one is a gap.
//! 2. [`Fit`] looks for the parameters whose forecasts of the values that are known are the best by least squares: it
//!    begins a search ([`Simplex`]) at each of [`STARTS`], and takes the best of what they end with.
//! 3. The forecast goes on with these parameters beyond the last value.
//!
//! Parameters are four weights (of the level, the trend, the seasons, and by how much a trend fades) within 0 and 1,
//! the first level, the first trend, and a factor for each window of a season.

use super::simplex::Simplex;

/// Windows that a fit takes, and that a forecast gives. One of them takes some 20 ns, some thousand times.
pub(crate) const WINDOWS_MAX: usize = 20_000;

/// Windows of a season. A search holds the square of it.
pub(crate) const SEASON_MAX: usize = 512;

/// Weights that searches begin with, in all their combinations.
const STARTS: [f64; 2] = [0.3, 0.3 + 0.4];

/// How close values lie where a search ends.
const EPSILON: f64 = 1.0e-4;

/// Parameters before the factors of seasons.
const WEIGHTS: usize = 6;

/// What a forecast is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecasting {
    /// Windows beyond the last value.
    pub windows: usize,
    /// Windows of a season; fewer than two for none.
    pub season: usize,
    /// What the model says of the known values is wanted too.
    pub with_fit: bool,
    /// Width of a window in nanoseconds.
    pub width_ns: i64,
}

/// The values of one series by window.
#[derive(Debug, Clone)]
struct History {
    /// NaN for a gap.
    values: Vec<f64>,
    first_time: i64,
    last_time: i64,
    season: usize,
}

/// A fit under way.
#[derive(Debug)]
pub(crate) struct Fit {
    asked: Forecasting,
    history: History,
    /// Parameters that do not depend on where a search starts.
    given: Vec<f64>,
    /// Searches that have begun.
    starts: usize,
    search: Option<Simplex>,
    best: Option<(f64, Vec<f64>)>,
}

/// Why there is no forecast of a series that may have one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("holt_winters of more than {WINDOWS_MAX} windows")]
pub(crate) struct TooLong;

impl History {
    /// `points` are times and values in the order of time; `None` where they are too few.
    fn new(points: &[(i64, f64)], asked: Forecasting) -> Result<Option<Self>, TooLong> {
        let season = if asked.season < 2 { 0 } else { asked.season };
        let (Some(&(first_time, first)), Some(&(last_time, _))) = (points.first(), points.last()) else {
            return Ok(None);
        };
        if points.len() < 2 || points.len() < season || asked.windows == 0 {
            return Ok(None);
        }
        let width = asked.width_ns.max(1);
        let window = |time: i64| time / width + i64::from(time % width > width / 2);
        let count = i128::from(window(last_time)) - i128::from(window(first_time));
        if count <= 0 {
            return Ok(None);
        }
        if count >= WINDOWS_MAX as i128 {
            return Err(TooLong);
        }
        let mut values = vec![first];
        for (time, value) in &points[1..] {
            let at = window(*time).saturating_sub(window(first_time));
            // Of values of one window the first counts.
            if let Ok(at) = usize::try_from(at)
                && at >= values.len()
            {
                values.resize(at, f64::NAN);
                values.push(*value);
            }
        }
        Ok(Some(Self { values, first_time, last_time, season }))
    }

    fn known(&self, at: usize) -> Option<f64> {
        self.values.get(at).copied().filter(|value| !value.is_nan())
    }

    /// The parameters that a search begins with, their weights still 0.
    fn parameters(&self) -> Vec<f64> {
        let season = self.season as f64;
        let mut parameters = vec![0.0; WEIGHTS];
        if self.season == 0 {
            parameters[4] = 0.5 * self.values[0];
            parameters[5] = self.known(1).map_or(0.0, |next| 0.5 * (next - self.values[0]));
            return parameters;
        }
        let of_season = || 0..self.season;
        let level: f64 = of_season().filter_map(|at| self.known(at)).map(|value| (1.0 / season) * value).sum();
        let change = |at: usize| Some(self.known(self.season + at)? - self.known(at)?);
        parameters[4] = level;
        parameters[5] = of_season().filter_map(change).map(|change| 1.0 / (season * season) * change).sum();
        parameters.extend(of_season().map(|at| self.known(at).map_or(0.0, |value| value / level)));
        parameters
    }

    /// What the model says of each window, and of `beyond` more. It brings the weights into their bounds, and leaves
    /// the factors of the seasons as they are at the end.
    fn forecast(&self, parameters: &mut [f64], beyond: usize, told: &mut dyn FnMut(usize, f64)) {
        let (weights, factors) = parameters.split_at_mut(WEIGHTS);
        weights[..4].iter_mut().for_each(|weight| *weight = weight.clamp(0.0, 1.0));
        let [alpha, beta, gamma, phi, mut level, mut trend] = *weights else { return };
        let season = factors.len();
        let (mut value, mut faded) = (self.values[0], phi);
        told(0, value);
        for at in 1..self.values.len() + beyond {
            // The factors are a ring that moves by one a window.
            let (mut own, mut next) = (1.0, 1.0);
            if season > 0 {
                let begin = 2 * at - 2;
                own = factors[begin % season];
                next = factors[(begin + at % season) % season];
            }
            let before = level + phi * trend;
            let new_level = alpha * (value / own) + (1.0 - alpha) * before;
            let new_trend = beta * (new_level - level) + (1.0 - beta) * phi * trend;
            let factor = gamma * (value / before) + (1.0 - gamma) * own;
            value = (new_level + faded * new_trend) * next;
            (level, trend) = (new_level, new_trend);
            faded += power(phi, at);
            if season > 0 {
                factors[(2 * at - 2 + season) % season] = factor;
            }
            told(at, value);
        }
    }

    /// The sum of the squares of what the model gets wrong.
    fn squares(&self, parameters: &mut [f64]) -> f64 {
        let mut sum = 0.0;
        self.forecast(parameters, 0, &mut |at, value| {
            let Some(known) = self.known(at) else { return };
            let wrong = value - known;
            sum += if value.is_nan() { f64::INFINITY } else { wrong * wrong };
        });
        sum
    }
}

/// A whole power by squaring.
fn power(base: f64, mut exponent: usize) -> f64 {
    let (mut square, mut product) = (base, 1.0);
    while exponent > 0 {
        if exponent & 1 == 1 {
            product *= square;
        }
        square *= square;
        exponent >>= 1;
    }
    product
}

impl Fit {
    /// A fit to `points`, times and values in the order of time; `None` where they are too few for a forecast.
    pub(crate) fn new(points: &[(i64, f64)], asked: Forecasting) -> Result<Option<Self>, TooLong> {
        let Some(history) = History::new(points, asked)? else { return Ok(None) };
        let given = history.parameters();
        Ok(Some(Self { asked, history, given, starts: 0, search: None, best: None }))
    }

    /// Windows whose values one [`Self::step`] computes, at least.
    pub(crate) fn windows(&self) -> usize {
        self.history.values.len()
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        (self.given.len().pow(2) + self.history.values.len()) * size_of::<f64>()
    }

    /// Works a while; false when the parameters are found.
    pub(crate) fn step(&mut self) -> bool {
        let Self { history, given, search, .. } = self;
        let running = match search {
            Some(search) => search,
            None if self.starts == STARTS.len().pow(4) => return false,
            None => {
                let mut start = given.clone();
                for (at, weight) in start[..4].iter_mut().enumerate() {
                    *weight = STARTS[self.starts >> (3 - at) & 1];
                }
                self.starts += 1;
                search.insert(Simplex::new(&start, EPSILON))
            }
        };
        if running.round(&mut |parameters| history.squares(parameters)) {
            return true;
        }
        let found = running.best();
        self.search = None;
        let wrong = history.squares(&mut found.clone());
        if self.best.as_ref().is_none_or(|(known, _)| wrong < *known) {
            self.best = Some((wrong, found));
        }
        true
    }

    /// The forecast: times and values.
    pub(crate) fn forecast(self) -> Vec<(i64, f64)> {
        let Self { asked, history, best, .. } = self;
        let Some((_, mut parameters)) = best else { return Vec::new() };
        let known = history.values.len();
        let mut found = Vec::with_capacity(asked.windows);
        let after = |time: i64, windows: usize| time.saturating_add(asked.width_ns.saturating_mul(windows as i64));
        history.forecast(&mut parameters, asked.windows, &mut |at, value| {
            let time = match at.checked_sub(known) {
                _ if asked.with_fit => after(history.first_time, at),
                Some(beyond) => after(history.last_time, beyond + 1),
                None => return,
            };
            if !value.is_nan() {
                found.push((time, value));
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast(points: &[(i64, f64)], asked: Forecasting) -> Vec<(i64, f64)> {
        let Some(mut fit) = Fit::new(points, asked).unwrap() else { return Vec::new() };
        while fit.step() {}
        fit.forecast()
    }

    const ASKED: Forecasting = Forecasting { windows: 2, season: 0, with_fit: false, width_ns: 10 };

    #[test]
    fn a_constant_goes_on_and_seasons_come_again() {
        let constant: Vec<(i64, f64)> = (0..20).map(|at| (at * 10, 7.0)).collect();
        let found = forecast(&constant, ASKED);
        assert_eq!(found.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [200, 210]);
        assert!(found.iter().all(|(_, value)| (value - 7.0).abs() < 0.2), "{found:?}");
        let seasons: Vec<(i64, f64)> = (0..40).map(|at| (at * 10, [10.0, 20.0, 30.0, 20.0][at as usize % 4])).collect();
        let found = forecast(&seasons, Forecasting { windows: 4, season: 4, ..ASKED });
        // What InfluxDB 1.6.7 says of the same values.
        let expected =
            [(400, 16.58054707659312), (410, 18.633094828405735), (420, 33.47944849412931), (430, 20.237828377158287)];
        assert_eq!(found, expected);
    }

    #[test]
    fn with_fit_there_is_one_for_each_window_gaps_too() {
        let found = forecast(&[(0, 1.0), (10, 2.0), (40, 5.0)], Forecasting { with_fit: true, ..ASKED });
        assert_eq!(found.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 10, 20, 30, 40, 50, 60]);
        assert_eq!(found[0].1, 1.0);
    }

    #[test]
    fn too_few_values_give_none_and_too_many_windows_are_refused() {
        assert_eq!(forecast(&[(0, 1.0)], ASKED), []);
        assert_eq!(forecast(&[(0, 1.0), (10, 1.0)], Forecasting { season: 3, ..ASKED }), []);
        assert_eq!(forecast(&[(10, 1.0), (0, 1.0)], ASKED), [], "latest first");
        let last = 10 * WINDOWS_MAX as i64;
        assert_eq!(Fit::new(&[(0, 1.0), (last, 1.0)], ASKED).unwrap_err(), TooLong);
        assert_eq!(Fit::new(&[(i64::MIN, 1.0), (i64::MAX, 1.0)], ASKED).unwrap_err(), TooLong);
    }
}
