//! Who a request comes from.

use std::sync::Arc;

use tidewire_storage::schema::{Rights, User};

/// Who a request comes from.
#[derive(Debug, Clone, Default)]
pub enum Principal {
    /// Anybody: nobody is asked who he is, and everybody may do everything.
    Anybody,
    /// A user who has proved to be one.
    User(Arc<User>),
    /// A client that comes while there is no user: it may make the first administrator and nothing else.
    First,
    /// One who was not asked, for what needs no right.
    #[default]
    Guest,
}

impl Principal {
    /// What the principal may do.
    pub fn rights(&self) -> Rights {
        match self {
            Self::Anybody => Rights::All,
            Self::User(user) => Rights::Of(user.clone()),
            Self::First | Self::Guest => Rights::None,
        }
    }

    /// The user's name, where there is a user.
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(&user.name),
            _ => None,
        }
    }

    /// Whether everything may be done.
    pub fn is_admin(&self) -> bool {
        match self {
            Self::Anybody => true,
            Self::User(user) => user.is_admin,
            Self::First | Self::Guest => false,
        }
    }
}
