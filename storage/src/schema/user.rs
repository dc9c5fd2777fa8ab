//! Users as the catalog keeps them: a name, a password's hash, and what they may do in which database.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::BitOr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Name as written.
    pub name: Arc<str>,
    /// What a password is compared with.
    pub password: PasswordHash,
    /// May do everything.
    pub is_admin: bool,
    /// By database. One that was granted and revoked stays, with no right.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<Arc<str>, Access>,
    /// What is kept for who asks.
    #[serde(default, skip_serializing_if = "UserOptions::is_empty")]
    pub options: UserOptions,
}

/// What CnosDB's CREATE USER says of a user beside password and rights; kept and shown, and of no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserOptions {
    /// The password is to be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub must_change_password: Option<bool>,
    /// A comment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<Arc<str>>,
}

impl UserOptions {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These where they say something, and `other` where they do not.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            must_change_password: self.must_change_password.or(other.must_change_password),
            comment: self.comment.or_else(|| other.comment.clone()),
        }
    }
}

impl User {
    /// What the user may do in a database.
    pub fn access(&self, database: &str) -> Access {
        match self.is_admin {
            true => Access::ALL,
            false => self.grants.get(database).copied().unwrap_or_default(),
        }
    }
}

/// A password as its hash, with salt and parameters, in the text form of the Password Hashing Competition. It is never
/// printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(Arc<str>);

impl PasswordHash {
    /// Of its text form.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text form: as secret as the password.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// What may be done in a database: a set of rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// To read rows, and the names of tables and columns.
    pub const READ: Self = Self(1);
    /// To write and delete rows; tables and columns are made as rows need them.
    pub const WRITE: Self = Self(2);
    /// To make, change and drop tables, and to change the database.
    pub const DEFINE: Self = Self(4);
    /// All of these.
    pub const ALL: Self = Self(7);

    /// Whether all rights of `other` are in this set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is no right in this set.
    pub fn is_none(self) -> bool {
        self.0 & Self::ALL.0 == 0
    }

    /// The rights of both sets.
    pub fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is left when `taken` is taken away. Who loses a right to rows loses that to tables with it.
    pub fn without(self, taken: Self) -> Self {
        match taken.is_none() {
            true => self,
            false => Self(self.0 & !(taken | Self::DEFINE).0),
        }
    }
}

impl BitOr for Access {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_sets() {
        let both = Access::READ | Access::WRITE;
        assert!(Access::ALL.has(both) && both.has(Access::READ) && !both.has(Access::DEFINE));
        assert_eq!(Access::ALL.without(Access::READ), Access::WRITE);
        assert_eq!(Access::ALL.without(Access::DEFINE), both);
        assert_eq!((both.without(Access::NONE), Access::ALL.without(Access::ALL)), (both, Access::NONE));
        assert_eq!(both.common(Access::ALL), both);
    }
}
