//! Rights: what must be allowed for something, and what one who asks may do.

use std::sync::Arc;

use super::tenant::Membership;
use super::user::{Access, User};

/// What must be allowed for something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// Everything.
    Admin,
    /// Rights in a database, which need not be there.
    Database {
        /// Its name.
        name: String,
        /// The rights.
        access: Access,
    },
    /// What only owners of a tenant may do in it.
    Tenant {
        /// Its name.
        name: String,
        /// What is to be done.
        power: TenantPower,
    },
}

/// What owners of a tenant may do in it beside what they may do in each of its databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantPower {
    /// Make databases.
    Databases,
    /// Make and drop roles, grant and revoke.
    Roles,
    /// Add and remove members.
    Members,
}

impl Need {
    /// Rights in a database.
    pub fn of(database: impl Into<String>, access: Access) -> Self {
        Self::Database { name: database.into(), access }
    }
}

/// What one who asks may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Rights {
    /// Everything: nobody is asked who he is.
    All,
    /// What the user may.
    Of(Arc<User>),
    /// What the user may, in a tenant.
    In(Membership),
    /// Nothing that needs a right.
    #[default]
    None,
}

impl Rights {
    /// What may be done in a database.
    pub fn access(&self, database: &str) -> Access {
        match self {
            Self::All => Access::ALL,
            Self::Of(user) => user.access(database),
            Self::In(member) => member.access(database),
            Self::None => Access::NONE,
        }
    }

    /// Whether everything may be done.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::All => true,
            Self::Of(user) => user.is_admin,
            Self::In(member) => member.user.is_admin,
            Self::None => false,
        }
    }

    /// Whether the owner's part of a tenant may be done.
    pub fn maintains(&self, tenant: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(user) => user.is_admin,
            Self::In(member) => member.maintains(tenant),
            Self::None => false,
        }
    }

    /// Who asks, where somebody was asked.
    pub fn user(&self) -> Option<&Arc<User>> {
        match self {
            Self::Of(user) => Some(user),
            Self::In(member) => Some(&member.user),
            Self::All | Self::None => None,
        }
    }

    /// Whether a database may be seen in a list.
    pub fn may_see(&self, database: &str) -> bool {
        !self.access(database).is_none()
    }

    /// Whether what `need` asks for is allowed.
    pub fn allow(&self, need: &Need) -> bool {
        match need {
            Need::Admin => self.is_admin(),
            Need::Database { name, access } => self.access(name).has(*access),
            Need::Tenant { name, .. } => self.maintains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::user::{PasswordHash, UserOptions};

    #[test]
    fn rights_allow_what_was_granted_and_nothing_else() {
        let user = User {
            name: "u".into(),
            password: PasswordHash::new("$h"),
            is_admin: false,
            grants: [("d".into(), Access::READ), ("e".into(), Access::NONE)].into(),
            options: UserOptions::default(),
        };
        let rights = Rights::Of(Arc::new(user));
        let both = Access::READ | Access::WRITE;
        assert!(rights.allow(&Need::of("d", Access::READ)) && !rights.allow(&Need::of("d", both)));
        assert!(!rights.allow(&Need::of("x", Access::READ)) && !rights.allow(&Need::Admin));
        assert_eq!(["d", "e", "x"].map(|name| rights.may_see(name)), [true, false, false]);
        assert!(Rights::All.allow(&Need::Admin) && Rights::All.allow(&Need::of("x", Access::ALL)));
        assert!(!Rights::None.allow(&Need::Admin) && !Rights::default().may_see("d"));
    }

    #[test]
    fn an_admin_may_do_everything_and_no_hash_is_printed() {
        let mut user = User {
            name: "u".into(),
            password: PasswordHash::new("$argon2id$secret"),
            is_admin: false,
            grants: [("d".into(), Access::READ)].into(),
            options: UserOptions::default(),
        };
        assert_eq!((user.access("d"), user.access("e")), (Access::READ, Access::NONE));
        user.is_admin = true;
        assert_eq!(user.access("e"), Access::ALL);
        let rights = Rights::Of(Arc::new(user.clone()));
        assert!(rights.is_admin() && rights.may_see("e") && rights.allow(&Need::Admin));
        let printed = format!("{user:?} {user:#?}");
        assert!(!printed.contains("secret") && printed.contains("[REDACTED]"), "{printed}");
    }
}
