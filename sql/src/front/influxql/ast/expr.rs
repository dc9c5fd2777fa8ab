//! Expressions.
//!
//! Operands that operators of one rank join are one [`Expr::Chain`], so that how deep an expression is depends on its
//! brackets and calls alone, which the parser bounds: a condition of ten thousand terms is as flat as one of two.

use crate::deletion::TagMatch;

/// An expression as written. There are as many as a text has words, so that one is small.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// `*`, `*::field`, `*::tag`
    Wildcard(ColumnSet),
    /// `/pattern/`
    Regex(Box<Regex>),
    /// `DISTINCT name`
    Distinct(String),
    /// `name(…)`; the name is in lower case.
    Call {
        /// Name.
        name: String,
        /// Arguments.
        args: Vec<Expr>,
    },
    /// A name of a field or tag.
    Name {
        /// Name.
        name: String,
        /// `::type`
        cast: Option<CastType>,
    },
    /// A constant.
    Literal(Literal),
    /// `(…)`
    Paren(Box<Expr>),
    /// Operands joined by operators of one rank, from left to right.
    Chain {
        /// The first operand.
        first: Box<Expr>,
        /// Operators and the operands on their right; at least one.
        rest: Vec<(Op, Expr)>,
    },
}

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `'text'`
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A whole number that is too large for a signed one.
    Unsigned(u64),
    /// A number with a fraction.
    Number(f64),
    /// TRUE or FALSE.
    Bool(bool),
    /// A duration in nanoseconds.
    Duration(i64),
}

/// What a wildcard stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnSet {
    /// Fields and tags.
    All,
    /// Fields.
    Fields,
    /// Tags.
    Tags,
}

/// What follows `::`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are InfluxQL's")]
pub enum CastType {
    Float,
    Integer,
    Unsigned,
    String,
    Boolean,
    Field,
    Tag,
}

impl CastType {
    /// Its spelling.
    pub fn word(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Integer => "integer",
            Self::Unsigned => "unsigned",
            Self::String => "string",
            Self::Boolean => "boolean",
            Self::Field => "field",
            Self::Tag => "tag",
        }
    }
}

/// A regular expression: as written between the slashes, and compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Regex {
    /// Its text, `\/` as `/`.
    pub text: String,
    /// What it matches.
    pub matches: TagMatch,
}

/// Operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Op {
    Or,
    And,
    Eq,
    NotEq,
    Matches,
    NotMatches,
    Lt,
    LtEq,
    Gt,
    GtEq,
    Add,
    Subtract,
    BitOr,
    BitXor,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
}

/// The least rank of operators.
pub(in crate::front::influxql) const RANK_MIN: u8 = 1;
/// The greatest rank of operators: what binds most tightly.
pub(in crate::front::influxql) const RANK_MAX: u8 = 5;

impl Op {
    /// How tightly it binds.
    pub fn rank(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::Eq | Self::NotEq | Self::Matches | Self::NotMatches => 3,
            Self::Lt | Self::LtEq | Self::Gt | Self::GtEq => 3,
            Self::Add | Self::Subtract | Self::BitOr | Self::BitXor => 4,
            Self::Multiply | Self::Divide | Self::Modulo | Self::BitAnd => 5,
        }
    }

    /// Its spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Or => "OR",
            Self::And => "AND",
            Self::Eq => "=",
            Self::NotEq => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::Lt => "<",
            Self::LtEq => "<=",
            Self::Gt => ">",
            Self::GtEq => ">=",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::BitAnd => "&",
        }
    }

    /// The comparison with its sides exchanged.
    pub fn mirrored(self) -> Self {
        match self {
            Self::Lt => Self::Gt,
            Self::LtEq => Self::GtEq,
            Self::Gt => Self::Lt,
            Self::GtEq => Self::LtEq,
            other => other,
        }
    }
}

impl Expr {
    /// A name without a cast.
    pub fn name(name: impl Into<String>) -> Self {
        Self::Name { name: name.into(), cast: None }
    }

    /// `left op right`.
    pub fn binary(left: Self, op: Op, right: Self) -> Self {
        Self::Chain { first: Box::new(left), rest: vec![(op, right)] }
    }

    /// Without the brackets around it.
    pub fn bare(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(inner) = expr {
            expr = inner;
        }
        expr
    }

    /// The operands, left to right.
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Call { args, .. } => args.iter().collect(),
            Self::Paren(inner) => vec![inner],
            Self::Chain { first, rest } => std::iter::once(&**first).chain(rest.iter().map(|(_, e)| e)).collect(),
            _ => Vec::new(),
        }
    }

    /// Calls `visit` with this expression and all below it, parents first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}
