//! What is done to a series of times and values as a whole: `timestamp_repair`, `value_fill` and `value_repair`.

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Repair {
    /// Times are put on a grid, values with them.
    Times {
        /// How the distance of two times is found.
        distance: Distance,
        /// How the first time is found.
        start: Start,
    },
    /// Values that are missing are made up.
    Fill(Fill),
    /// Values that cannot be are brought nearer to those around them.
    Values(Bound),
}

/// The distance of two times on the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    /// This one, in the unit of the times.
    Given(i64),
    /// The one in the middle of those that there are.
    Median,
    /// The one that is there most often, of several the least.
    Mode,
    /// The mean of the largest of three clusters.
    Cluster,
}

/// The first time of the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// What most times leave over when they are divided by the distance.
    Mode,
    /// The mean of what each time asks for.
    Linear,
}

/// Where a value that is missing comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The mean of all.
    Mean,
    /// The one before.
    Previous,
    /// The line between those around it, each row as far from the next.
    Linear,
    /// The one before, by the regression of each value on the one before it.
    AutoRegression,
    /// The mean of up to five around it.
    MovingAverage,
}

/// What is known of values that can be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// They change by this much at least and at most in a unit of time; as far from the usual as three times what is
    /// usual where it is not said.
    Speed {
        /// At least.
        min: Option<f64>,
        /// At most.
        max: Option<f64>,
    },
    /// Speeds change by about this much, as far from it as three times `sigma`.
    Acceleration {
        /// About.
        center: Option<f64>,
        /// As far as.
        sigma: Option<f64>,
    },
}
