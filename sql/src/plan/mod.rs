//! The logical plan: a tree of relational operators over bound expressions. Both front ends bind to it, every rule
//! rewrites it, and `stage` cuts it.
//!
//! A node's output columns are its [`Plan::schema`]: arrow types, where a tag is `Utf8` whatever its form in memory.

mod display;
pub(crate) mod extent;
pub mod join;
pub mod repair;
pub mod series;
mod walk;
pub mod window;

use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use tidewire_storage::schema::{ColumnId, ExternalColumn, ExternalTable, FieldType, TableSchema};

use crate::expr::{AggregateCall, Expr, Scalar};
pub use display::show;
pub(crate) use display::show_by;
pub use join::{JoinKind, JoinOn};
pub use series::SeriesStep;
pub use window::WindowCall;

/// A column that a scan yields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScanColumn {
    /// The timestamp.
    Time,
    /// A tag.
    Tag(ColumnId),
    /// A field.
    Field(ColumnId, FieldType),
}

/// Rows of one table.
#[derive(Debug, Clone)]
pub struct ScanNode {
    /// Database, for messages and EXPLAIN.
    pub database: Arc<str>,
    /// The table as it was when the statement was bound.
    pub table: Arc<TableSchema>,
    /// Output columns.
    pub columns: Vec<ScanColumn>,
    /// First time of use, inclusive, in the table's unit. Set by the time-range rule.
    pub time_min: i64,
    /// Last time of use, inclusive.
    pub time_max: i64,
    /// Conjunction over tags alone, decided once a series. Columns are positions in `tag_columns`.
    pub tag_filter: Option<Expr>,
    /// The tags that `tag_filter` reads.
    pub tag_columns: Vec<ColumnId>,
    /// What is left of WHERE, over `columns`; decided for every row.
    pub filter: Option<Expr>,
    /// Names and types of `columns`.
    pub schema: SchemaRef,
}

/// Rows of a table over files.
#[derive(Debug, Clone)]
pub struct ExternalScan {
    /// The table as it was when the statement was bound.
    pub table: Arc<ExternalTable>,
    /// Places of the output columns among the table's.
    pub columns: Vec<usize>,
    /// Names and types of `columns`.
    pub schema: SchemaRef,
}

impl ExternalScan {
    /// All columns of `table`.
    pub fn all(table: Arc<ExternalTable>) -> Self {
        let field = |column: &ExternalColumn| Field::new(&*column.name, column.kind.data_type(), true);
        let schema = Arc::new(Schema::new(table.columns.iter().map(field).collect::<Vec<_>>()));
        Self { columns: (0..table.columns.len()).collect(), table, schema }
    }
}

/// One key of ORDER BY.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// Over the input.
    pub expr: Expr,
    /// DESC.
    pub descending: bool,
    /// NULLS FIRST; the default is nulls last for ASC and first for DESC, as DataFusion has it.
    pub nulls_first: bool,
}

/// A relational operator.
#[derive(Debug, Clone)]
pub enum Plan {
    /// Rows of a table.
    Scan(ScanNode),
    /// Rows for which the predicate is true.
    Filter {
        /// Input.
        input: Box<Plan>,
        /// BOOLEAN.
        predicate: Expr,
    },
    /// Computed columns.
    Project {
        /// Input.
        input: Box<Plan>,
        /// One for each output column.
        exprs: Vec<Expr>,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Groups: output is the group keys, then the aggregates. No key: exactly one row.
    Aggregate {
        /// Input.
        input: Box<Plan>,
        /// Keys.
        group: Vec<Expr>,
        /// Aggregates.
        calls: Vec<AggregateCall>,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Rows in order; with `fetch`, only that many first ones.
    Sort {
        /// Input.
        input: Box<Plan>,
        /// Keys, most significant first.
        keys: Vec<SortKey>,
        /// Rows wanted (offset included), when a LIMIT stands above.
        fetch: Option<usize>,
    },
    /// OFFSET and LIMIT.
    Limit {
        /// Input.
        input: Box<Plan>,
        /// OFFSET.
        skip: usize,
        /// LIMIT.
        fetch: Option<usize>,
    },
    /// Rows without repetition.
    Distinct {
        /// Input.
        input: Box<Plan>,
    },
    /// UNION ALL: the rows of every input, in no promised order.
    Union {
        /// At least one; each has columns of the types of `schema`.
        inputs: Vec<Plan>,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// The rows of two inputs that meet.
    Join {
        /// The left and the right input.
        inputs: Box<[Plan; 2]>,
        /// Which rows come out.
        kind: JoinKind,
        /// When rows meet.
        on: JoinOn,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Each row as often as it says: INTERSECT ALL and EXCEPT ALL.
    Repeat {
        /// Input. Its last column, BIGINT, is the number, and not put out.
        input: Box<Plan>,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Every row with what window functions say of it, behind its columns.
    Window {
        /// Input, in the order of `partition` and then of `order`.
        input: Box<Plan>,
        /// Rows of one partition are equal in these.
        partition: Vec<Expr>,
        /// Order within a partition.
        order: Vec<SortKey>,
        /// One for each further column.
        calls: Vec<WindowCall>,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Series by series: fill, limits, transformations.
    Series {
        /// Input, in the order of its keys and times.
        input: Box<Plan>,
        /// What is done.
        step: SeriesStep,
        /// Output names and types.
        schema: SchemaRef,
    },
    /// Rows of files.
    External(ExternalScan),
    /// Constant rows; also the single empty row under `SELECT 1`.
    Values {
        /// Rows of constants.
        rows: Vec<Vec<Scalar>>,
        /// Names and types.
        schema: SchemaRef,
    },
}

impl Plan {
    /// Names and types of the output.
    pub fn schema(&self) -> &SchemaRef {
        match self {
            Self::Scan(scan) => &scan.schema,
            Self::External(scan) => &scan.schema,
            Self::Project { schema, .. }
            | Self::Aggregate { schema, .. }
            | Self::Union { schema, .. }
            | Self::Join { schema, .. }
            | Self::Repeat { schema, .. }
            | Self::Series { schema, .. }
            | Self::Window { schema, .. }
            | Self::Values { schema, .. } => schema,
            Self::Filter { input, .. }
            | Self::Sort { input, .. }
            | Self::Limit { input, .. }
            | Self::Distinct { input } => input.schema(),
        }
    }
}
