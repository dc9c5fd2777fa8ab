//! The random walk behind TSBS values: a standard normal step each tick, clamped to a range.

/// Standard normal numbers, two per draw (Box and Muller).
pub(super) struct Normal {
    rng: fastrand::Rng,
    spare: Option<f64>,
}

impl Normal {
    pub(super) fn new(rng: fastrand::Rng) -> Self {
        Self { rng, spare: None }
    }

    pub(super) fn next(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        // 1 - u lies in (0, 1], so the logarithm is finite.
        let radius = (-2.0 * (1.0 - self.rng.f64()).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * self.rng.f64()).sin_cos();
        self.spare = Some(radius * sine);
        radius * cosine
    }
}

/// One value that walks inside `0..=max`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk {
    pub(super) value: f64,
    max: f64,
}

impl Walk {
    pub(super) fn new(rng: &mut fastrand::Rng, max: f64) -> Self {
        Self { value: rng.f64() * max, max }
    }

    pub(super) fn step(&mut self, normal: &mut Normal) -> f64 {
        self.value = (self.value + normal.next()).clamp(0.0, self.max);
        self.value
    }
}
