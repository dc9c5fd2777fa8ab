//! Remote read's question: `ReadRequest 1 queries* 2 accepted_response_types*`, `Query 1 start in ms 2 end in ms
//! 3 matchers*` (its hints, which a server need not follow, are passed over), `LabelMatcher 1 type 2 name 3 value`.

use crate::protobuf::{Fields, packed_varints, signed};
use crate::row::RowError;

/// Queries of a request, and matchers of a query: clients send one, and some.
const QUERIES_MAX: usize = 1024;
const MATCHERS_MAX: usize = 1024;

/// How samples are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadForm {
    /// As one message of plain samples.
    Samples,
    /// As a stream of messages with encoded ones.
    XorChunks,
}

/// What series a request wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest<'b> {
    /// Each has an answer of its own.
    pub queries: Vec<ReadQuery<'b>>,
    /// The first form that the client accepts and that there is.
    pub form: ReadForm,
}

/// Series by their labels, and samples by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadQuery<'b> {
    /// First time wanted, in milliseconds.
    pub start_ms: i64,
    /// Last time wanted.
    pub end_ms: i64,
    /// All must hold.
    pub matchers: Vec<Matcher<'b>>,
}

/// What a label must be; a series that lacks it has it empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Matcher<'b> {
    /// How the label is compared.
    pub comparison: Comparison,
    /// The label.
    pub name: &'b str,
    /// What it is compared with.
    pub value: &'b str,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, of the whole value
    Match,
    /// `!~`
    NoMatch,
}

impl Comparison {
    /// As PromQL writes it.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Match => "=~",
            Self::NoMatch => "!~",
        }
    }

    /// Whether the value is a pattern.
    pub fn has_pattern(self) -> bool {
        matches!(self, Self::Match | Self::NoMatch)
    }
}

impl<'b> ReadRequest<'b> {
    /// Reads a message.
    pub fn read(message: &'b [u8]) -> Result<Self, RowError> {
        let (mut queries, mut form, mut is_accepted) = (Vec::new(), None, false);
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => {
                    check_count(queries.len(), QUERIES_MAX, "queries in a request")?;
                    queries.push(query(field.value.bytes()?)?);
                }
                2 => packed_varints(field.value, |kind| {
                    is_accepted = true;
                    let known = match kind {
                        0 => Some(ReadForm::Samples),
                        1 => Some(ReadForm::XorChunks),
                        _ => None,
                    };
                    form = form.or(known);
                    Ok(())
                })?,
                _ => {}
            }
        }
        match form {
            Some(form) => Ok(Self { queries, form }),
            None if is_accepted => Err(RowError::NotSupported("any of the types of response that are accepted")),
            None => Ok(Self { queries, form: ReadForm::Samples }),
        }
    }
}

fn check_count(count: usize, count_max: usize, what: &'static str) -> Result<(), RowError> {
    if count < count_max { Ok(()) } else { Err(RowError::TooMany { what, count_max }) }
}

fn query(message: &[u8]) -> Result<ReadQuery<'_>, RowError> {
    let mut query = ReadQuery::default();
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => query.start_ms = signed(field.value.varint()?),
            2 => query.end_ms = signed(field.value.varint()?),
            3 => {
                check_count(query.matchers.len(), MATCHERS_MAX, "matchers in a query")?;
                query.matchers.push(matcher(field.value.bytes()?)?);
            }
            _ => {}
        }
    }
    Ok(query)
}

fn matcher(message: &[u8]) -> Result<Matcher<'_>, RowError> {
    let mut matcher = Matcher { comparison: Comparison::Equal, name: "", value: "" };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => {
                matcher.comparison = match field.value.varint()? {
                    0 => Comparison::Equal,
                    1 => Comparison::NotEqual,
                    2 => Comparison::Match,
                    3 => Comparison::NoMatch,
                    other => return Err(RowError::invalid("the type of a matcher", other)),
                }
            }
            2 => matcher.name = field.value.text()?,
            3 => matcher.value = field.value.text()?,
            _ => {}
        }
    }
    if matcher.name.is_empty() {
        return Err(RowError::Missing("the name of a matcher"));
    }
    Ok(matcher)
}
