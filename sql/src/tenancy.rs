//! What statements want of tenants, their members and their roles, as plain data for the server.

use std::sync::Arc;

use tidewire_storage::schema::{Access, Limiter, SystemRole, TenantOptions};

/// What a statement wants of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantStatement {
    /// CREATE TENANT.
    Create {
        /// Name.
        name: String,
        /// IF NOT EXISTS: a tenant that exists is no error, and not changed.
        if_not_exists: bool,
        /// What is said of it.
        options: TenantOptions,
    },
    /// DROP TENANT.
    Drop {
        /// Name.
        name: String,
        /// IF EXISTS: a missing tenant is no error.
        if_exists: bool,
        /// How long it can be recovered; `None` for as long as the tenant's options say.
        after_ns: Option<i64>,
    },
    /// RECOVER TENANT.
    Recover {
        /// Name.
        name: String,
        /// IF EXISTS: a missing tenant is no error.
        if_exists: bool,
    },
    /// A tenant that is there is changed: ALTER TENANT, and what is said of roles in the session's tenant.
    Alter {
        /// Name.
        name: String,
        /// How.
        alteration: TenantAlteration,
    },
}

/// What becomes of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantAlteration {
    /// A user becomes a member.
    AddMember {
        /// User.
        user: String,
        /// Role.
        role: String,
    },
    /// A member has another role.
    SetMember {
        /// User.
        user: String,
        /// Role.
        role: String,
    },
    /// A user is a member no more.
    RemoveMember {
        /// User.
        user: String,
    },
    /// The comment is this, or none.
    Comment(Option<Arc<str>>),
    /// How long a drop that says nothing of it can be undone.
    DropAfter(Option<i64>),
    /// Limits are these, where they say something, or none at all.
    Limiter(Option<Limiter>),
    /// CREATE ROLE.
    CreateRole {
        /// Role.
        role: String,
        /// IF NOT EXISTS: a role that exists is no error, and not changed.
        if_not_exists: bool,
        /// It may do what this one may.
        inherits: Option<SystemRole>,
    },
    /// DROP ROLE.
    DropRole {
        /// Role.
        role: String,
        /// IF EXISTS: a missing role is no error.
        if_exists: bool,
    },
    /// A role may do this, too, in a database.
    Grant {
        /// Role.
        role: String,
        /// Database, as the tenant knows it.
        database: String,
        /// What it may do.
        access: Access,
    },
    /// A role may not do this any more in a database.
    Revoke {
        /// Role.
        role: String,
        /// Database, as the tenant knows it.
        database: String,
        /// What it may not do.
        access: Access,
    },
}
