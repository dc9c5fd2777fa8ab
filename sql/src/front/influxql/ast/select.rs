//! SELECT.

use super::expr::{Expr, Regex};

/// `SELECT fields [INTO …] FROM sources [WHERE …] [GROUP BY …] [fill(…)] [ORDER BY …] [LIMIT …] … [tz('…')]`
#[derive(Debug, Clone, PartialEq)]
pub struct Select {
    /// What is selected; at least one.
    pub fields: Vec<Field>,
    /// INTO.
    pub into: Option<Into>,
    /// FROM; at least one.
    pub sources: Vec<Source>,
    /// WHERE.
    pub condition: Option<Expr>,
    /// GROUP BY.
    pub dimensions: Vec<Dimension>,
    /// fill(…), where it is given.
    pub fill: Option<Fill>,
    /// ORDER BY time: whether it descends, where it is given.
    pub descending: Option<bool>,
    /// LIMIT; 0 for none.
    pub limit: u64,
    /// OFFSET.
    pub offset: u64,
    /// SLIMIT; 0 for none.
    pub series_limit: u64,
    /// SOFFSET.
    pub series_offset: u64,
    /// tz(…): name of a zone.
    pub zone: Option<String>,
}

/// One thing that is selected.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// What.
    pub expr: Expr,
    /// AS.
    pub alias: Option<String>,
}

/// One thing of GROUP BY.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension(pub Expr);

/// How windows without a value are filled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// `null`: the window shows, without a value.
    Null,
    /// `none`: the window does not show.
    None,
    /// `previous`: the value of the window before.
    Previous,
    /// `linear`: between the values around it.
    Linear,
    /// A number.
    Number(f64),
    /// A whole number.
    Integer(i64),
}

/// One of FROM.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// Measurements.
    Measurement(Measurement),
    /// `(SELECT …)`
    Subquery(Box<Select>),
}

/// Measurements of one database and retention policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    /// Database, if not that of the request.
    pub database: Option<String>,
    /// Retention policy, if not the default one.
    pub policy: Option<String>,
    /// Which.
    pub name: MeasurementName,
}

/// Which measurements.
#[derive(Debug, Clone, PartialEq)]
pub enum MeasurementName {
    /// The one of this name.
    Name(String),
    /// Those that match.
    Regex(Regex),
}

/// INTO: where the rows go.
#[derive(Debug, Clone, PartialEq)]
pub struct Into {
    /// Database, if not that of the request.
    pub database: Option<String>,
    /// Retention policy, if not the default one.
    pub policy: Option<String>,
    /// Name; `None` for `:MEASUREMENT`, which keeps the names of the sources.
    pub name: Option<String>,
}
