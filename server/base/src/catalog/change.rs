//! Schema changes as data.

use std::collections::BTreeMap;

use tidewire_sql::Definition;
use tidewire_sql::tenancy::TenantAlteration;
use tidewire_storage::schema::{Access, ColumnKind, PasswordHash, TenantOptions, UserOptions};

/// What a statement or a write wants of the catalog. It is done whole or not at all.
#[derive(Debug, Clone)]
pub enum SchemaChange {
    /// CREATE, ALTER or DROP.
    Define(Definition),
    /// A write needs these tables and columns: what is missing is made, columns of tables that are there are added at
    /// their ends.
    Ensure {
        /// Database.
        database: String,
        /// Its retention policy.
        policy: String,
        /// By table, what must be there afterwards.
        tables: BTreeMap<String, Vec<(String, ColumnKind)>>,
    },
    /// A statement about users.
    User(UserChange),
    /// A statement about tenants, members, roles and what they may do.
    Tenant(TenantChange),
}

/// What a statement wants of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantChange {
    /// CREATE TENANT.
    Create {
        /// Name.
        name: String,
        /// A tenant that exists is no error, and not changed.
        if_not_exists: bool,
        /// What is said of it.
        options: TenantOptions,
    },
    /// DROP TENANT.
    Drop {
        /// Name.
        name: String,
        /// A missing tenant is no error.
        if_exists: bool,
        /// How long it can be recovered; `None` for as long as the tenant's options say.
        after_ns: Option<i64>,
        /// The present.
        now_ns: i64,
    },
    /// RECOVER TENANT.
    Recover {
        /// Name.
        name: String,
        /// A missing tenant is no error.
        if_exists: bool,
        /// The present.
        now_ns: i64,
    },
    /// Tenants whose time is over go.
    Purge {
        /// The present.
        now_ns: i64,
    },
    /// A tenant that is there is changed.
    Alter {
        /// Name.
        name: String,
        /// How.
        alteration: TenantAlteration,
    },
}

/// What a statement wants of users. A password comes as its hash: none is ever part of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// CREATE USER.
    Create {
        /// Name.
        name: String,
        /// The password's hash.
        password: PasswordHash,
        /// May do everything.
        is_admin: bool,
        /// What is kept for who asks.
        options: UserOptions,
        /// A user that exists is no error, and not changed.
        if_not_exists: bool,
    },
    /// DROP USER.
    Drop {
        /// Name.
        name: String,
        /// A missing user is no error.
        if_exists: bool,
    },
    /// A user's name is another one.
    Rename {
        /// The name that it has.
        name: String,
        /// The one that it gets.
        to: String,
    },
    /// A user's password is another one.
    SetPassword {
        /// Name.
        name: String,
        /// The password's hash.
        password: PasswordHash,
    },
    /// What is kept for who asks is this, where it says something.
    SetOptions {
        /// Name.
        name: String,
        /// The options.
        options: UserOptions,
    },
    /// A user may do everything, or no more.
    SetAdmin {
        /// Name.
        name: String,
        /// May do everything.
        is_admin: bool,
    },
    /// A user may do this in a database, and nothing else there.
    Grant {
        /// Name.
        name: String,
        /// Database.
        database: String,
        /// What it may do.
        access: Access,
    },
    /// A user may not do this any more in a database.
    Revoke {
        /// Name.
        name: String,
        /// Database.
        database: String,
        /// What it may not do.
        access: Access,
    },
}
