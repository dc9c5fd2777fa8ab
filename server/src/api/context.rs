//! What a handler knows of a request beside its head and body.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use tidewire_protocol::http::{Head, Query};
use tidewire_protocol::row::BadRows;
use tidewire_storage::schema::{DEFAULT_TENANT, Rights, database_key};

use super::counters::{Door, RowCounters};
use super::endpoint::{DatabaseParameter, Endpoint};
use super::fault::Fault;
use super::influx::bucket::database_and_policy;
use super::query_counters::QueryCounters;
use super::request_id::RequestId;
use super::routes::Segments;
use crate::auth::credentials::claimed_user;
use crate::auth::principal::Principal;
use crate::core::state::CoreState;
use crate::ingest::rows::RowTarget;
use crate::ingest::session::Written;
use crate::journal::text::STATEMENT_BYTES_MAX;

/// The user whom requests come from that name none, while nobody is asked.
pub(super) const DEFAULT_USER: &str = "root";

/// A request's context.
pub struct RequestContext<'r> {
    /// What the requests of this core share.
    pub core: &'r CoreState,
    /// Where rows are counted, of all requests.
    pub rows: &'r RowCounters,
    /// Where queries are counted.
    pub queries: &'r QueryCounters,
    /// The endpoint that was asked.
    pub endpoint: &'static Endpoint,
    /// What stands for the placeholders of its pattern.
    pub segments: Segments<'r>,
    /// The request's head.
    pub head: &'r Head<'r>,
    /// What follows the path.
    pub query: Query<'r>,
    /// Where it comes from, if its connection still says.
    pub peer: Option<SocketAddr>,
    /// Who asks.
    pub principal: Principal,
    /// What he may do in the request's tenant.
    pub rights: Rights,
    /// The tenant that it is about, once that has been looked up.
    pub tenant: Option<Cow<'r, str>>,
    /// It was let in: what it uses is counted.
    pub is_admitted: bool,
    /// The request's id.
    pub id: RequestId<'r>,
    /// When its head had arrived: the present of everything that the request does.
    pub now_ns: i64,
    /// The head of the statement that it runs, for the log; `None` where that does not want it.
    pub statement: Option<RefCell<Vec<u8>>>,
    /// Rows that it has written, or that its reply has.
    pub moved: Cell<u64>,
}

impl<'r> RequestContext<'r> {
    /// Where rows go that a door has by name.
    pub fn row_target<'d>(&self, database: &'d str, bad_rows: BadRows) -> RowTarget<'d> {
        RowTarget { database, bad_rows, now_ns: self.now_ns }
    }

    /// Notes the statement that the request runs; what the log may show of it is kept.
    pub fn note_statement(&self, text: &[u8]) {
        if let Some(statement) = &self.statement {
            *statement.borrow_mut() = text[..text.len().min(STATEMENT_BYTES_MAX)].to_vec();
        }
    }

    /// Counts rows that were acknowledged.
    pub fn count_written(&self, rows: u64) {
        self.rows.written.add(rows);
        self.moved.set(self.moved.get() + rows);
    }

    /// Counts what was written in the format of `door`.
    pub fn count_door(&self, door: Door, written: &Written) {
        self.rows.count(door, written);
        self.moved.set(self.moved.get() + written.rows);
    }

    /// Counts rows of the reply.
    pub fn count_read(&self, rows: u64) {
        self.rows.read.add(rows);
        self.moved.set(self.moved.get() + rows);
    }

    /// A parameter of the URL.
    pub fn parameter(&self, name: &'static str) -> Result<Option<Cow<'r, str>>, Fault> {
        parameter(&self.query, name)
    }

    /// Refuses parameters that are none of `names`: one that is misspelled would be passed over without a word.
    pub fn check_parameters(&self, names: &[&str]) -> Result<(), Fault> {
        for pair in self.query.pairs() {
            let (name, _) = pair.map_err(|error| Fault::Parameter { name: "of the URL", error })?;
            if !names.contains(&&*name) && !name.is_empty() {
                return Err(Fault::ParameterUnknown(name.into_owned()));
            }
        }
        Ok(())
    }

    /// The user's name in statements: while nobody is asked, the one that the request gives.
    pub fn user_name(&self) -> String {
        match self.principal.user() {
            Some(name) => name.to_owned(),
            None => claimed_user(self.head).unwrap_or_else(|| DEFAULT_USER.to_owned()),
        }
    }

    /// The name under which the catalog keeps the database that the request is about; empty where the endpoint's
    /// requests may leave it open.
    pub fn database(&self) -> Result<Cow<'r, str>, Fault> {
        let (name, tenant) = (self.database_name()?, self.tenant()?);
        Ok(match name {
            name if name.is_empty() => name,
            Cow::Borrowed(name) => database_key(&tenant, name),
            Cow::Owned(name) => Cow::Owned(database_key(&tenant, &name).into_owned()),
        })
    }

    /// The database that the request is about, as its tenant knows it.
    pub fn database_name(&self) -> Result<Cow<'r, str>, Fault> {
        let default = match self.endpoint.database {
            DatabaseParameter::None => return Ok(Cow::Borrowed("")),
            DatabaseParameter::Default(name) => Ok(name),
            DatabaseParameter::Required => Err(Fault::DatabaseMissing),
            DatabaseParameter::Optional => Ok(""),
            DatabaseParameter::Header(name) => match self.text_header("db")? {
                Some(named) => return Ok(Cow::Borrowed(named)),
                None => Ok(name),
            },
            DatabaseParameter::Bucket => {
                let bucket = self.parameter("bucket")?.unwrap_or_default();
                let named = database_and_policy(&bucket).map(|(database, _)| database.len());
                let length = named.map_err(|bad| Fault::Refused { status: 404, reason: bad.to_string() })?;
                return Ok(match bucket {
                    Cow::Borrowed(bucket) => Cow::Borrowed(&bucket[..length]),
                    Cow::Owned(mut bucket) => {
                        bucket.truncate(length);
                        Cow::Owned(bucket)
                    }
                });
            }
        };
        match self.parameter("db")?.filter(|name| !name.is_empty()) {
            Some(name) => Ok(name),
            None => default.map(Cow::Borrowed),
        }
    }

    /// A header that is there and not empty. One that is no text is refused, not passed over: it says where rows go.
    pub fn text_header(&self, name: &'static str) -> Result<Option<&'r str>, Fault> {
        if self.head.has_opaque(name) {
            return Err(Fault::HeaderOpaque(name));
        }
        Ok(self.head.header(name).map(str::trim).filter(|value| !value.is_empty()))
    }

    /// The tenant that the request is about.
    pub fn tenant(&self) -> Result<Cow<'r, str>, Fault> {
        if let Some(known) = &self.tenant {
            return Ok(known.clone());
        }
        let named = match (self.endpoint.family.has_tenants(), self.endpoint.database) {
            (false, _) => None,
            (true, DatabaseParameter::Header(_)) => match self.text_header("tenant")? {
                Some(named) => Some(Cow::Borrowed(named)),
                None => self.parameter("tenant")?,
            },
            (true, _) => self.parameter("tenant")?,
        };
        Ok(named.unwrap_or(Cow::Borrowed(DEFAULT_TENANT)))
    }

    /// How many bytes the request's body may have.
    pub fn body_bytes_max(&self) -> u64 {
        self.endpoint.body.bytes_max(&self.core.config.http)
    }
}

/// A parameter of a URL or of a form.
pub fn parameter<'q>(query: &Query<'q>, name: &'static str) -> Result<Option<Cow<'q, str>>, Fault> {
    query.get(name).map_err(|error| Fault::Parameter { name, error })
}
