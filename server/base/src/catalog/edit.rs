//! Edits: what a catalog file records, and what becomes of a catalog by them.
//!
//! A change ([`SchemaChange`](super::SchemaChange)) says what somebody wants; [`decide`](super::decide) turns it into
//! edits, which say what is. So rules may change from build to build, and a file still means what it meant when it was
//! written. The catalog in memory is made by the same [`replay`] as the one that a start reads.
//!
//! The list of edits grows: a build refuses a file with one that it does not know.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidewire_storage::names::NameMap;
use tidewire_storage::schema::{
    Catalog, ColumnSchema, ContinuousQuery, Database, ExternalTable, RetentionPolicy, StoredOptions, Subscription,
    TableId, TableSchema, Tenant, TimeUnit, User,
};

/// A step from one catalog to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum Edit {
    /// A database is there, with these terms; of one that was there, tables and subscriptions stay whose policies do,
    /// its queries, and its tables over files.
    Database(DatabaseTerms),
    /// A database is gone, with all that is in it.
    DropDatabase {
        /// Its name.
        name: Arc<str>,
    },
    /// A table is there, as it stands here.
    Table {
        /// Its database.
        database: Arc<str>,
        /// Its retention policy.
        policy: Arc<str>,
        /// The table.
        table: Arc<TableSchema>,
    },
    /// A table has more columns, behind those that it had.
    Columns {
        /// Its database.
        database: Arc<str>,
        /// Its retention policy.
        policy: Arc<str>,
        /// Its name.
        table: Arc<str>,
        /// What is added.
        columns: Vec<ColumnSchema>,
    },
    /// A table is gone.
    DropTable {
        /// Its database.
        database: Arc<str>,
        /// Its retention policy.
        policy: Arc<str>,
        /// Its name.
        table: Arc<str>,
    },
    /// A database has these continuous queries, and no others.
    ContinuousQueries {
        /// The database.
        database: Arc<str>,
        /// The queries.
        queries: Vec<ContinuousQuery>,
    },
    /// A database has these subscriptions, and no others.
    Subscriptions {
        /// The database.
        database: Arc<str>,
        /// The subscriptions.
        subscriptions: Vec<Arc<Subscription>>,
    },
    /// A table over files is there, as it stands here.
    External {
        /// Its database.
        database: Arc<str>,
        /// The table.
        table: Arc<ExternalTable>,
    },
    /// A table over files is gone; the files are not touched.
    DropExternal {
        /// Its database.
        database: Arc<str>,
        /// Its name.
        table: Arc<str>,
    },
    /// Ids of tables before this one have been given.
    NextTable(u32),
    /// A user is there, as it stands here.
    User(User),
    /// A user is gone.
    DropUser {
        /// Its name.
        name: Arc<str>,
    },
    /// A tenant is there, as it stands here.
    Tenant(Tenant),
    /// A tenant is gone. Its databases are edits of their own.
    DropTenant {
        /// Its name.
        name: Arc<str>,
    },
}

/// A database without its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseTerms {
    name: Arc<str>,
    precision: TimeUnit,
    default_policy: Arc<str>,
    policies: Vec<PolicyTerms>,
    /// Catalogs of before they were kept lack it.
    #[serde(default, skip_serializing_if = "StoredOptions::is_default")]
    stored: StoredOptions,
}

/// A retention policy without its tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyTerms {
    name: Arc<str>,
    ttl_ns: Option<i64>,
    partition_ns: i64,
    replication: u32,
}

/// What edits mean to the cores beside the new catalog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Tables that were made or changed, as they are now.
    pub changed: Vec<Arc<TableSchema>>,
    /// Tables that are gone and whose data every shard must drop.
    pub dropped: Vec<TableId>,
    /// Databases that have lost a table, a column or a name of one: what cores remember of their lines holds no longer.
    pub stale: BTreeSet<Arc<str>>,
}

impl DatabaseTerms {
    /// The terms of a database.
    pub(super) fn of(database: &Database) -> Self {
        let terms = |policy: &RetentionPolicy| PolicyTerms {
            name: policy.name.clone(),
            ttl_ns: policy.ttl_ns,
            partition_ns: policy.partition_ns,
            replication: policy.replication,
        };
        Self {
            name: database.name.clone(),
            precision: database.precision,
            default_policy: database.default_policy.clone(),
            policies: database.policies.iter().map(terms).collect(),
            stored: database.stored,
        }
    }
}

/// A catalog as edits of none.
pub(super) fn snapshot(catalog: &Catalog) -> impl Iterator<Item = Edit> + '_ {
    let tables_of = |database: &Arc<Database>| {
        let database = database.clone();
        let policies: Vec<RetentionPolicy> = database.policies.clone();
        policies.into_iter().flat_map(move |policy| {
            let database = database.name.clone();
            let name = policy.name.clone();
            let tables: Vec<_> = policy.tables.values().cloned().collect();
            let table = move |table| Edit::Table { database: database.clone(), policy: name.clone(), table };
            tables.into_iter().map(table)
        })
    };
    let queries_of = |database: &Arc<Database>| {
        let queries = database.continuous_queries.clone();
        (!queries.is_empty()).then(|| Edit::ContinuousQueries { database: database.name.clone(), queries })
    };
    let subscriptions_of = |database: &Arc<Database>| {
        let subscriptions = database.subscriptions.clone();
        (!subscriptions.is_empty()).then(|| Edit::Subscriptions { database: database.name.clone(), subscriptions })
    };
    let external_of = |database: &Arc<Database>| {
        let name = database.name.clone();
        let tables: Vec<_> = database.external.values().cloned().collect();
        tables.into_iter().map(move |table| Edit::External { database: name.clone(), table })
    };
    let databases = catalog.databases.values().flat_map(move |database| {
        let terms = std::iter::once(Edit::Database(DatabaseTerms::of(database)));
        let terms = terms.chain(queries_of(database)).chain(subscriptions_of(database));
        terms.chain(tables_of(database)).chain(external_of(database))
    });
    let users = catalog.users.values().map(|user| Edit::User(User::clone(user)));
    let tenants = catalog.tenants.values().map(|tenant| Edit::Tenant(Tenant::clone(tenant)));
    std::iter::once(Edit::NextTable(catalog.next_table)).chain(databases).chain(users).chain(tenants)
}

/// Makes an edit of a catalog, but for the catalog's version. Fails where it names what is not there: then it was made
/// of another catalog.
pub(super) fn replay(catalog: &mut Catalog, edit: &Edit, effects: &mut Effects) -> Result<(), String> {
    match edit {
        Edit::Database(terms) => put_database(catalog, terms, effects),
        Edit::DropDatabase { name } => {
            let database = catalog.databases.remove(name).ok_or_else(|| format!("there is no database {name:?}"))?;
            effects.drop(name, database.all_tables());
        }
        Edit::Table { database, policy, table } => {
            catalog.next_table = catalog.next_table.max(table.id.0.saturating_add(1));
            let old = find_policy(catalog, database, policy)?.tables.insert(table.name.clone(), table.clone());
            match old {
                Some(old) if old.id != table.id => effects.drop(database, [&old]),
                Some(old) if !old.columns.iter().all(|column| has_named(table, column)) => {
                    effects.stale.insert(database.clone());
                }
                _ => {}
            }
            effects.changed.push(table.clone());
        }
        Edit::Columns { database, policy, table, columns } => {
            let found = find_policy(catalog, database, policy)?.tables.get_mut(table);
            let found = found.ok_or_else(|| format!("database {database:?} has no table {table:?}"))?;
            let changed = Arc::make_mut(found);
            for column in columns {
                if column.id.0 < changed.next_column {
                    return Err(format!("column {:?} of table {table:?} has the id of another one", column.name));
                }
                changed.next_column = column.id.0.saturating_add(1);
                changed.columns.push(column.clone());
            }
            effects.changed.push(found.clone());
        }
        Edit::DropTable { database, policy, table } => {
            let old = find_policy(catalog, database, policy)?.tables.remove(table);
            let old = old.ok_or_else(|| format!("database {database:?} has no table {table:?}"))?;
            effects.drop(database, [&old]);
        }
        Edit::ContinuousQueries { database, queries } => {
            find_database(catalog, database)?.continuous_queries.clone_from(queries);
        }
        Edit::External { database, table } => {
            find_database(catalog, database)?.external.insert(table.name.clone(), table.clone());
        }
        Edit::DropExternal { database, table } => {
            let old = find_database(catalog, database)?.external.remove(table);
            old.ok_or_else(|| format!("database {database:?} has no external table {table:?}"))?;
        }
        Edit::Subscriptions { database, subscriptions } => {
            let found = catalog.databases.get_mut(database);
            let found = found.ok_or_else(|| format!("there is no database {database:?}"))?;
            Arc::make_mut(found).subscriptions.clone_from(subscriptions);
        }
        Edit::NextTable(next) => catalog.next_table = catalog.next_table.max(*next),
        Edit::User(user) => {
            catalog.users.insert(user.name.clone(), Arc::new(user.clone()));
        }
        Edit::DropUser { name } => {
            catalog.users.remove(name).ok_or_else(|| format!("there is no user {name:?}"))?;
        }
        Edit::Tenant(tenant) => {
            catalog.tenants.insert(tenant.name.clone(), Arc::new(tenant.clone()));
        }
        Edit::DropTenant { name } => {
            catalog.tenants.remove(name).ok_or_else(|| format!("there is no tenant {name:?}"))?;
        }
    }
    Ok(())
}

/// Whether a table has a column, under the same name.
pub(super) fn has_named(table: &TableSchema, column: &ColumnSchema) -> bool {
    table.column_by_id(column.id).is_some_and(|known| known.name == column.name)
}

impl Effects {
    fn drop<'t>(&mut self, database: &Arc<str>, tables: impl IntoIterator<Item = &'t Arc<TableSchema>>) {
        let before = self.dropped.len();
        self.dropped.extend(tables.into_iter().map(|table| table.id));
        if self.dropped.len() > before {
            self.stale.insert(database.clone());
        }
    }
}

fn put_database(catalog: &mut Catalog, terms: &DatabaseTerms, effects: &mut Effects) {
    let old = catalog.databases.get(&terms.name).cloned();
    let tables_of = |name: &str| old.as_ref().and_then(|old| old.policy(name)).map(|policy| policy.tables.clone());
    let policy = |terms: &PolicyTerms| RetentionPolicy {
        name: terms.name.clone(),
        ttl_ns: terms.ttl_ns,
        partition_ns: terms.partition_ns,
        replication: terms.replication,
        tables: tables_of(&terms.name).unwrap_or_else(NameMap::new),
    };
    let mut database = Database {
        name: terms.name.clone(),
        precision: terms.precision,
        policies: terms.policies.iter().map(policy).collect(),
        default_policy: terms.default_policy.clone(),
        continuous_queries: old.as_ref().map(|old| old.continuous_queries.clone()).unwrap_or_default(),
        subscriptions: old.as_ref().map(|old| old.subscriptions.clone()).unwrap_or_default(),
        external: old.as_ref().map(|old| old.external.clone()).unwrap_or_default(),
        stored: terms.stored,
    };
    // Those of a policy go with it.
    let Database { policies, subscriptions, .. } = &mut database;
    subscriptions.retain(|known| policies.iter().any(|policy| policy.name == known.policy));
    for gone in old.iter().flat_map(|old| &old.policies).filter(|policy| database.policy(&policy.name).is_none()) {
        effects.drop(&terms.name, gone.tables.values());
    }
    catalog.databases.insert(terms.name.clone(), Arc::new(database));
}

fn find_database<'c>(catalog: &'c mut Catalog, name: &str) -> Result<&'c mut Database, String> {
    let found = catalog.databases.get_mut(name).ok_or_else(|| format!("there is no database {name:?}"))?;
    Ok(Arc::make_mut(found))
}

fn find_policy<'c>(catalog: &'c mut Catalog, database: &str, policy: &str) -> Result<&'c mut RetentionPolicy, String> {
    let mut policies = find_database(catalog, database)?.policies.iter_mut();
    let found = policies.find(|known| &*known.name == policy);
    found.ok_or_else(|| format!("database {database:?} has no retention policy {policy:?}"))
}
