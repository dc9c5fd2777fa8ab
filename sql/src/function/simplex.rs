//! The least value of a function of several variables, looked for by the simplex of Nelder and Mead.
//!
//! A simplex of n + 1 points is moved: its worst point is reflected at the centre of the others, further if that is
//! better than all, less far if it is not better than the second worst; if that does not help either, all points come
//! half way to the best. It ends when the values at its points lie close together, or after [`ROUNDS_MAX`] rounds.
//!
//! The function may change the point that it is asked about (to bring it into its bounds): what it leaves is the point.
//! When all points have come closer, only two values are computed anew. InfluxDB does both, and what `holt_winters`
//! gives depends on it.

/// Rounds after which the best point known is taken.
const ROUNDS_MAX: usize = 1_000;

/// A search under way.
#[derive(Debug)]
pub(super) struct Simplex {
    points: Vec<Vec<f64>>,
    /// Values at the first points, as far as they are known.
    values: Vec<f64>,
    rounds: usize,
    epsilon: f64,
}

/// The places of the worst, the second worst and the best point.
struct Ranks {
    worst: usize,
    second: usize,
    best: usize,
}

impl Simplex {
    /// A search that begins at `start` and ends when the values differ by about `epsilon`.
    pub(super) fn new(start: &[f64], epsilon: f64) -> Self {
        let n = start.len() as f64;
        let root = (n + 1.0).sqrt() - 1.0;
        let (own, other) = ((root + n) / (n * 2_f64.sqrt()), root / (n * 2_f64.sqrt()));
        let mut points = vec![start.to_vec()];
        points.extend((0..start.len()).map(|own_at| {
            let moved = start.iter().enumerate();
            moved.map(|(at, value)| if at == own_at { own + value } else { other + value }).collect()
        }));
        Self { points, values: Vec::new(), rounds: 0, epsilon }
    }

    /// Goes on by a few values of the function; false when the search has ended.
    pub(super) fn round(&mut self, function: &mut impl FnMut(&mut [f64]) -> f64) -> bool {
        if let Some(point) = self.points.get_mut(self.values.len()) {
            self.values.push(function(point));
            return true;
        }
        if self.rounds == ROUNDS_MAX {
            return false;
        }
        self.rounds += 1;
        let ranks = self.ranks();
        let centre = self.centre(ranks.worst);
        let along = |factor: f64, from: &[f64]| -> Vec<f64> {
            centre.iter().zip(from).map(|(centre, from)| centre + factor * (from - centre)).collect()
        };
        let mut reflected: Vec<f64> =
            centre.iter().zip(&self.points[ranks.worst]).map(|(centre, worst)| centre + (centre - worst)).collect();
        let value = function(&mut reflected);
        if value < self.values[ranks.second] && value >= self.values[ranks.best] {
            self.replace(ranks.worst, reflected.clone(), value);
        }
        if value < self.values[ranks.best] {
            let mut further = along(2.0, &reflected);
            match function(&mut further) {
                beyond if beyond < value => self.replace(ranks.worst, further, beyond),
                _ => self.replace(ranks.worst, reflected.clone(), value),
            }
        }
        if value >= self.values[ranks.second] {
            let mut nearer = match value < self.values[ranks.worst] {
                true => along(0.5, &reflected),
                false => along(0.5, &self.points[ranks.worst]),
            };
            match function(&mut nearer) {
                inside if inside < self.values[ranks.worst] => self.replace(ranks.worst, nearer, inside),
                _ => {
                    self.shrink(ranks.best);
                    for at in [ranks.worst, ranks.second] {
                        self.values[at] = function(&mut self.points[at]);
                    }
                }
            }
        }
        !self.is_close()
    }

    /// The best point.
    pub(super) fn best(&self) -> Vec<f64> {
        self.points[self.ranks().best].clone()
    }

    fn replace(&mut self, at: usize, point: Vec<f64>, value: f64) {
        self.points[at] = point;
        self.values[at] = value;
    }

    fn ranks(&self) -> Ranks {
        let (mut worst, mut best) = (0, 0);
        for (at, value) in self.values.iter().enumerate() {
            if *value > self.values[worst] {
                worst = at;
            }
            if *value < self.values[best] {
                best = at;
            }
        }
        let mut second = best;
        for (at, value) in self.values.iter().enumerate() {
            if *value > self.values[second] && *value < self.values[worst] {
                second = at;
            }
        }
        Ranks { worst, second, best }
    }

    /// The centre of all points but one.
    fn centre(&self, without: usize) -> Vec<f64> {
        let n = self.points.len() - 1;
        let others = || self.points.iter().enumerate().filter(|(at, _)| *at != without);
        (0..n).map(|axis| others().map(|(_, point)| point[axis]).sum::<f64>() / n as f64).collect()
    }

    /// Brings all points half way to one.
    fn shrink(&mut self, to: usize) {
        let to_point = self.points[to].clone();
        for (_, point) in self.points.iter_mut().enumerate().filter(|(at, _)| *at != to) {
            for (value, to) in point.iter_mut().zip(&to_point) {
                *value = to + (*value - to) / 2.0;
            }
        }
    }

    fn is_close(&self) -> bool {
        let n = self.points.len() as f64;
        let mean = self.values.iter().sum::<f64>() / n;
        let deviation: f64 = self.values.iter().map(|value| (value - mean) * (value - mean) / (n - 1.0)).sum();
        deviation.sqrt() < self.epsilon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_value_of_a_bowl_is_found() {
        let mut bowl = |at: &mut [f64]| (at[0] - 3.0).powi(2) + 2.0 * (at[1] + 1.0).powi(2);
        let mut simplex = Simplex::new(&[0.0, 0.0], 1e-9);
        while simplex.round(&mut bowl) {}
        let best = simplex.best();
        assert!((best[0] - 3.0).abs() < 1e-3 && (best[1] + 1.0).abs() < 1e-3, "{best:?}");
    }

    #[test]
    fn a_search_without_an_end_is_ended() {
        let mut slope = |at: &mut [f64]| -at[0];
        let mut simplex = Simplex::new(&[1.0], 0.0);
        let rounds = std::iter::from_fn(|| simplex.round(&mut slope).then_some(())).count();
        assert_eq!(rounds, 2 + ROUNDS_MAX);
    }
}
