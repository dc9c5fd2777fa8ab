//! What went wrong with a request, in the words of no API.
//!
//! A handler returns a [`Fault`]; only the `error` file of the endpoint's family turns it into a status, headers and a
//! body ([`FaultReply`]). The sentences here are for what no family has words of its own for.

use std::fmt::{self, Display};

use arrow_schema::ArrowError;
use tidewire_protocol::encode::EncodeError;
use tidewire_protocol::encode::influx::UnsupportedValue;
use tidewire_protocol::http::{BadQuery, Method};
use tidewire_protocol::row::RowError;
use tidewire_sql::SqlError;
use tidewire_sql::exec::ExecError;
use tidewire_sql::influxql::{BindError, ParseError};
use tidewire_storage::schema::{Need, RequestKind, tenant_and_database};

use super::redact::{has_password, without_password};
use crate::auth::denial::Denial;
use crate::ingest::error::WriteError;
use crate::ingest::session::Written;
use crate::memory::account::Shortage;
use crate::net::BodyError;
use crate::query::delete::DeleteError;
use crate::query::prepare::PrepareError;
use tidewire_base::catalog::CatalogError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No endpoint has the path.
    #[error("no such path")]
    PathUnknown,
    /// The endpoint has other methods.
    #[error("the path has other methods")]
    MethodUnknown {
        /// Those.
        allowed: &'static [Method],
    },
    /// The request never reached a handler: a bad head, a timeout, a server that stops.
    #[error("{reason}")]
    Refused {
        /// The status that HTTP has for it.
        status: u16,
        /// What was wrong.
        reason: String,
    },

    /// Nobody knows who asks.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// Who asks may not do that.
    #[error("{0}")]
    Forbidden(Box<Forbidden>),
    /// The tenant has used what it may.
    #[error("tenant {tenant:?} has reached its limit of {}; try again later", kind.name())]
    OverLimit {
        /// The tenant.
        tenant: String,
        /// Of what.
        kind: RequestKind,
    },
    /// There is no user yet, and the statements do not begin with one that makes an administrator.
    #[error("there is no user yet: create an administrator first")]
    AdminMissing,

    /// A parameter cannot be decoded.
    #[error("bad query parameter {name}: {error}")]
    Parameter {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        error: BadQuery,
    },
    /// A parameter that must be there is not.
    #[error("the parameter {0} is missing")]
    ParameterMissing(&'static str),
    /// The endpoint has no such parameter.
    #[error("there is no parameter {0:?} here")]
    ParameterUnknown(String),
    /// A header that says where rows go is not UTF-8.
    #[error("the header {0} is not UTF-8")]
    HeaderOpaque(&'static str),
    /// A parameter has a value that it cannot have.
    #[error("the parameter {name} cannot be {value:?}")]
    ParameterValue {
        /// Its name.
        name: &'static str,
        /// Its value.
        value: String,
    },
    /// `precision` is no unit that InfluxDB's API has.
    #[error("there is no unit {0:?} of times")]
    Precision(String),
    /// `chunked` is neither true nor false.
    #[error("chunked is true or false, not {0:?}")]
    Chunked(String),
    /// `consistency` is no level that there is.
    #[error("there is no consistency level {0:?}")]
    Consistency(String),
    /// The database must be named in the URL and is not.
    #[error("the parameter db is missing")]
    DatabaseMissing,
    /// The statement needs a database and names none.
    #[error("the statement names no database")]
    DatabaseUnnamed,
    /// There is no statement.
    #[error("the parameter q is missing")]
    StatementMissing,
    /// `Accept` names a type of another kind than replies have.
    #[error("no reply is of the type {0:?}")]
    AcceptType(String),
    /// `Accept` names a format that is none of the replies'.
    #[error("no reply is of the format {0:?}")]
    AcceptFormat(String),
    /// `Accept-Encoding` leaves no coding to send the reply in.
    #[error("no reply is coded as {0:?}")]
    AcceptEncoding(String),
    /// The body cannot be had.
    #[error(transparent)]
    Body(#[from] BodyError),

    /// The body as a whole is not what the endpoint reads.
    #[error(transparent)]
    Unreadable(#[from] RowError),
    /// The body is of a type that the endpoint does not read.
    #[error("a body of the type {0:?} is not read here")]
    ContentType(String),

    /// The SQL is no statement that can be run.
    #[error("{}", without_password(&.0.to_string()))]
    Statement(#[from] SqlError),
    /// The InfluxQL is no text of statements.
    #[error("{}", unread(error, *has_password))]
    Influxql {
        /// What is wrong. It may repeat a part of the text, which only the client may be told.
        error: ParseError,
        /// The text has the word PASSWORD.
        has_password: bool,
    },
    /// A statement of InfluxQL asks for what its databases do not let it.
    #[error(transparent)]
    Unfit(#[from] BindError),
    /// What statements refer to by name cannot be bound.
    #[error("{0}")]
    QueryParameters(String),
    /// No such database.
    #[error("there is no database {0:?}")]
    DatabaseUnknown(String),
    /// No trace has the id.
    #[error("trace not found")]
    TraceUnknown,
    /// The catalog does not change.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A table is not dropped.
    #[error(transparent)]
    DropTable(CatalogError),

    /// Nothing of the request is written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Some rows are written and others are not.
    #[error("{}", partly(.0))]
    Partial(Box<Written>),

    /// As many queries run as may.
    #[error("{queries_max} queries run already; try again later")]
    TooManyQueries {
        /// How many may.
        queries_max: u64,
    },
    /// Memory is too short for another query.
    #[error("no query is begun now: {0}; try again later")]
    QueryShortOfMemory(Shortage),
    /// A query failed while it ran.
    #[error(transparent)]
    Query(#[from] ExecError),
    /// Rows are not deleted, or not all of them.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// The format cannot show a column.
    #[error(transparent)]
    Unshown(#[from] EncodeError),
    /// The format cannot show what the query came to.
    #[error("cannot write the result: {0}")]
    Unwritten(EncodeError),
    /// The format cannot show a value.
    #[error(transparent)]
    UnshownValue(#[from] UnsupportedValue),
    /// The reply cannot be compressed.
    #[error("cannot compress the reply: {0}")]
    Compress(std::io::Error),
    /// What a statement did cannot be put into rows.
    #[error(transparent)]
    Rows(#[from] ArrowError),
}

impl Fault {
    /// What is wrong with `text`, which is no InfluxQL.
    pub fn unread_influxql(error: ParseError, text: &str) -> Self {
        Self::Influxql { error, has_password: has_password(text) }
    }
}

impl From<PrepareError> for Fault {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Statement(error) => error.into(),
            PrepareError::TooLarge { .. } => Self::Body(BodyError::Refused { status: 413, reason: error.to_string() }),
            PrepareError::Query(error) => error.into(),
        }
    }
}

/// What a user may not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// Who asked.
    pub user: String,
    /// What it takes.
    pub need: Need,
    /// The statement that needs it, in its normal form, without passwords; `None` where the request itself does.
    pub statement: Option<String>,
}

impl Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, need, .. } = self;
        match need {
            Need::Admin => write!(f, "user {user:?} is no administrator"),
            Need::Database { name, .. } => {
                let (tenant, name) = tenant_and_database(name);
                write!(f, "user {user:?} may not do that in database {name:?} of tenant {tenant:?}")
            }
            Need::Tenant { name, .. } => write!(f, "user {user:?} is no owner of tenant {name:?}"),
        }
    }
}

/// What is wrong with a text, for the log. A token that cannot stand where it does may be a password without quotes.
fn unread(error: &ParseError, has_password: bool) -> String {
    match has_password {
        true => format!("a text with a password is no statement, at line {}, char {}", error.line, error.character),
        false => error.to_string(),
    }
}

/// What is written and what is not.
fn partly(written: &Written) -> String {
    let (rows, bad) = (written.rows, &written.bad_rows);
    let refused = bad.unparsed + bad.dropped;
    match bad.kept.first() {
        Some(first) => format!("{rows} rows are written, {refused} are not, the first of these at {first}"),
        None => format!("{rows} rows are written, {refused} are not"),
    }
}

/// A fault in the words of an API family.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FaultReply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those that all replies of the family have.
    pub headers: Vec<(&'static str, String)>,
    /// Type of the body; `None` where there is none.
    pub content_type: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl FaultReply {
    /// Whether trying again later makes sense: then the reply says `Retry-After`.
    pub fn is_for_now(&self) -> bool {
        matches!(self.status, 429 | 503)
    }
}

/// What credentials are asked for, where the family says nothing else; clients show it.
pub const REALM: &str = "Tidewire";

/// The header that goes with 401: credentials of `realm` are asked for.
pub fn challenge(fault: &Fault, realm: &str) -> Vec<(&'static str, String)> {
    match fault {
        Fault::Denied(denial) if denial.asks_for_credentials() => {
            vec![("WWW-Authenticate", format!("Basic realm=\"{realm}\""))]
        }
        _ => Vec::new(),
    }
}

/// The value of `Allow`.
pub fn allow(methods: &[Method]) -> (&'static str, String) {
    ("Allow", methods.iter().map(|method| method.token()).collect::<Vec<_>>().join(", "))
}
