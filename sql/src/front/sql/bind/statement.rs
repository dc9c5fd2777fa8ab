//! One parsed statement to a [`BoundStatement`].

use std::sync::Arc;

use tidewire_storage::schema::{Catalog, ColumnId, FileFormat, Need};

use super::binder::Binder;
use super::named::NamedQueries;
use crate::budget::Budget;
use crate::error::{RootFault, SqlError, SqlErrorKind};
use crate::front::sql::parse::{Parsed, fold};
use crate::insertion::InsertTarget;
use crate::plan::Plan;
use crate::session::Session;
use crate::statement::{Statement, UserAlteration, UserStatement};

/// The user whom statements neither drop nor make a lesser one.
const ROOT: &str = "root";

/// A tag and the value that it is set to.
pub(crate) type NewTag = (ColumnId, Option<Arc<str>>);

/// A bound statement.
pub(crate) enum BoundStatement {
    /// There is nothing to optimize.
    Ready(Statement),
    /// A query.
    Query(Plan),
    /// EXPLAIN of a query.
    Explain { plan: Plan, analyze: bool, verbose: bool },
    /// INSERT of the rows of a query, or UPDATE of fields.
    InsertQuery { plan: Plan, target: InsertTarget },
    /// COPY of these rows INTO a file.
    CopyOut { plan: Plan, location: Arc<str>, format: FileFormat },
    /// UPDATE of the tags of these rows.
    UpdateTags { rows: Plan, target: InsertTarget, tags: Vec<NewTag> },
    /// DELETE of these rows, which [`super::deletion`] turns into series and times once the plan is optimized.
    Delete { rows: Plan },
}

/// Binds `parsed` against the catalog, within `budget`.
pub(crate) fn bind(
    parsed: Parsed,
    catalog: &Catalog,
    session: &Session,
    budget: &Budget,
) -> Result<BoundStatement, SqlError> {
    let binder = Binder { catalog, session, budget, named: NamedQueries::default(), outer: None };
    let statement = match parsed {
        Parsed::Empty => Statement::Empty,
        Parsed::Query(query) => return Ok(BoundStatement::Query(binder.top_query(&query)?)),
        Parsed::Explain { query, analyze, verbose } => {
            return Ok(BoundStatement::Explain { plan: binder.top_query(&query)?, analyze, verbose });
        }
        Parsed::ShowQueries => return Ok(BoundStatement::Query(binder.shown_queries().into_plan())),
        Parsed::ShowDatabases => return Ok(BoundStatement::Query(binder.show_databases())),
        Parsed::ShowTables { database } => return binder.show_tables(database.as_ref()).map(BoundStatement::Query),
        Parsed::DescribeDatabase(name) => return binder.describe_database(&name).map(BoundStatement::Query),
        Parsed::DescribeTable(name) => return binder.describe_table(&name).map(BoundStatement::Query),
        Parsed::CreateDatabase { name, if_not_exists, options } => {
            Statement::Define(binder.create_database(&name, if_not_exists, options)?)
        }
        Parsed::DropDatabase { name, if_exists } => Statement::Define(binder.drop_database(&name, if_exists)?),
        Parsed::CreateTable { name, if_not_exists, columns, tags } => {
            Statement::Define(binder.create_table(&name, if_not_exists, &columns, &tags)?)
        }
        Parsed::CreateUser { name, if_not_exists, user } => {
            binder.require(Need::Admin)?;
            Statement::User(UserStatement::Create { name: fold(&name), if_not_exists, user })
        }
        Parsed::AlterUser { name, alteration } => {
            binder.require(Need::Admin)?;
            let name = fold(&name);
            if name == ROOT && matches!(alteration, UserAlteration::Admin(_)) {
                return Err(SqlErrorKind::RootFixed(RootFault::Admin).into());
            }
            Statement::User(UserStatement::Alter { name, alteration })
        }
        Parsed::DropUser { name, if_exists } => {
            binder.require(Need::Admin)?;
            let name = fold(&name);
            if name == ROOT {
                return Err(SqlErrorKind::RootFixed(RootFault::Drop).into());
            }
            Statement::User(UserStatement::Drop { name, if_exists })
        }
        Parsed::Tenant(statement) => Statement::Tenant(binder.tenant(statement)?),
        Parsed::CreateExternal { name, if_not_exists, columns, format, location } => {
            binder.create_external(&name, if_not_exists, columns, format, location)?
        }
        Parsed::CopyOut { location, source, format } => return binder.copy_out(&source, location, format),
        Parsed::CopyIn { table, columns, location, format } => binder.copy_in(&table, &columns, location, format)?,
        Parsed::SetCodec { table, column, codec } => Statement::Define(binder.set_codec(&table, &column, &codec)?),
        Parsed::DropTable { name, if_exists } => Statement::Define(binder.drop_table(&name, if_exists)?),
        Parsed::AlterDatabase { name, change } => Statement::Define(binder.alter_database(&name, change)?),
        Parsed::AlterTable { name, alteration } => Statement::Define(binder.alter_table(&name, &alteration)?),
        Parsed::Insert { table, columns, source } => return binder.insert(&table, &columns, &source),
        Parsed::Update { table, assignments, predicate } => {
            return binder.update(&table, &assignments, predicate.as_deref());
        }
        Parsed::ShowSeries(show) => return binder.show_series(&show).map(BoundStatement::Query),
        Parsed::ShowTagValues { show, tags } => {
            return binder.show_tag_values(&show, &tags).map(BoundStatement::Query);
        }
        Parsed::Compact { database } => Statement::Compact { database: binder.database_named(&database)? },
        Parsed::Delete { table, alias, predicate } => {
            return binder.delete(&table, alias.as_ref(), predicate.as_deref());
        }
    };
    Ok(BoundStatement::Ready(statement))
}
