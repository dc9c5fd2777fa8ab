//! Numbers of about 32 digits, for sums whose differences are small beside them.

/// About what sums of some thousand million terms lose, of 32 digits.
const ROUNDING: f64 = 1e-28;

/// A number as the sum of two doubles, the second below the last digit of the first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Double2 {
    /// The number to the last digit of a double.
    pub(super) high: f64,
    /// What is missing.
    pub(super) low: f64,
}

impl Double2 {
    /// That of a double.
    pub(super) fn of(high: f64) -> Self {
        Self { high, low: 0.0 }
    }

    /// `one + other`, exact.
    pub(super) fn sum(one: f64, other: f64) -> Self {
        let high = one + other;
        let of_other = high - one;
        Self { high, low: (one - (high - of_other)) + (other - of_other) }
    }

    /// `one * other`, exact.
    pub(super) fn product(one: f64, other: f64) -> Self {
        let high = one * other;
        Self { high, low: one.mul_add(other, -high) }
    }

    /// Sum of two.
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        Self::sum(sum.high, sum.low + self.low + other.low)
    }

    /// Difference of two.
    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(Self { high: -other.high, low: -other.low })
    }

    /// Product of two.
    pub(super) fn times(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        Self::sum(product.high, product.low + self.high * other.low + self.low * other.high)
    }

    /// The same, or nothing where it is no more than what rounding leaves of terms of this size that cancel out.
    pub(super) fn beside(self, size: f64) -> f64 {
        if self.high.abs() <= size.abs() * ROUNDING { 0.0 } else { self.high }
    }

    /// Quotient by a double.
    pub(super) fn over(self, divisor: f64) -> Self {
        let high = self.high / divisor;
        let rest = self.minus(Self::product(high, divisor));
        Self::sum(high, rest.high / divisor)
    }
}
