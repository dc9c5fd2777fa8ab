//! What is done to rows series by series: rows that share their first columns, the keys, and stand together. The input
//! is in the order of its keys, and within a series in that of its time.

use arrow_schema::DataType;

use super::repair::Repair;
use crate::function::forecast::Forecasting;
use crate::function::transform::Transformation;
use crate::types::windows::Windows;

/// A step of [`Plan::Series`](super::Plan::Series).
#[derive(Debug, Clone)]
pub enum SeriesStep {
    /// A row for every window of time; the column after the keys is the time, those after it are filled.
    Fill(Fill),
    /// LIMIT and OFFSET in each series, SLIMIT and SOFFSET among the series.
    Limit(SeriesLimit),
    /// Areas under the lines between values: one for each series or each of its windows.
    Integral(Integral),
    /// How series go on.
    Forecast(Forecast),
    /// The series as a whole is made better.
    Repair(Repair),
    /// Columns that are computed from a value and those before it in its series, added behind the others.
    Transform(Vec<TransformCall>),
}

/// How windows are filled.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Columns that make a series.
    pub keys: usize,
    /// The windows.
    pub windows: Windows,
    /// First time of the first window; without, each series begins with its own first.
    pub first: Option<i64>,
    /// First time of the last window; without, each series ends with its own last.
    pub last: Option<i64>,
    /// Rows come, and go, latest first.
    pub descending: bool,
    /// What stands where a column has no value, for each behind the time; of those that are not named, null.
    pub with: Vec<FillWith>,
}

impl Fill {
    /// Whether what it puts out may hang on rows that come later: on a line to the next. Else its first rows are made
    /// of no more of the first rows of a series than they are.
    pub(crate) fn looks_ahead(&self) -> bool {
        self.with.contains(&FillWith::Linear)
    }
}

/// What stands where there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillWith {
    /// Null.
    Null,
    /// The value before it in the order of rows.
    Previous,
    /// What lies on the line between the values around it, of numbers.
    Linear,
}

/// How much of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesLimit {
    /// Columns that make a series.
    pub keys: usize,
    /// Columns within which series are counted; 0 for all of them.
    pub outer_keys: usize,
    /// Rows left out of each series.
    pub skip: usize,
    /// Rows of each series.
    pub fetch: Option<usize>,
    /// Series left out.
    pub series_skip: usize,
    /// Series.
    pub series_fetch: Option<usize>,
}

/// Areas to compute. The input is the keys, the time and the value.
#[derive(Debug, Clone)]
pub struct Integral {
    /// Columns that make a series.
    pub keys: usize,
    /// The windows; without, there is one area for each series.
    pub windows: Option<Windows>,
    /// The unit of time of the areas, in nanoseconds.
    pub unit_ns: f64,
}

/// What is forecast. The input is the keys, the time and the columns.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// Columns that make a series.
    pub keys: usize,
    /// For each column after the time what is asked of it.
    pub columns: Vec<Forecasting>,
}

/// One computed column.
#[derive(Debug, Clone)]
pub struct TransformCall {
    /// How it is computed.
    pub transformation: &'static Transformation,
    /// Parameters of the call: numbers and durations in nanoseconds.
    pub parameters: Vec<f64>,
    /// Columns that make a series.
    pub keys: usize,
    /// The column of values: one of the input, or of a call before this one.
    pub column: usize,
    /// Type of the result.
    pub data_type: DataType,
}
