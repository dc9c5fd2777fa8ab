//! Why a request is turned away before anything is done for it. What it brought is not repeated: that may be a
//! password, and this is logged.

use std::io;

use super::token::TokenFault;

/// Why nobody knows who a request comes from.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// It brings nothing that says who asks.
    #[error("credentials are missing")]
    Missing,
    /// What it brings is in no form that is understood.
    #[error("the credentials cannot be read")]
    Unreadable,
    /// It names nobody.
    #[error("the credentials name no user")]
    Unnamed,
    /// No such user, or not the user's password.
    #[error("user {0:?} is not known or has another password")]
    Wrong(String),
    /// The server takes no bearer tokens.
    #[error("bearer tokens are not taken")]
    NoTokens,
    /// A bearer token that proves nothing.
    #[error("bearer token: {0}")]
    Token(#[from] TokenFault),
    /// The tenant that is asked for is not there.
    #[error("there is no tenant {0:?}")]
    TenantUnknown(String),
    /// It is known who asks, and that he is no member of the tenant.
    #[error("user {user:?} is no member of tenant {tenant:?}")]
    NotAMember {
        /// The user.
        user: String,
        /// The tenant.
        tenant: String,
    },
    /// Too many wrong passwords have come from there of late.
    #[error("too many wrong passwords for user {user:?} from this address; try again in {wait_s} s")]
    Throttled {
        /// For this user.
        user: String,
        /// Seconds until the next one is looked at.
        wait_s: u64,
    },
    /// As many passwords as may wait to be looked at.
    #[error("too many passwords wait to be verified; try again later")]
    Busy,
    /// A password could not be looked at.
    #[error("a password could not be verified: {0}")]
    Failed(#[from] io::Error),
    /// There is no user yet.
    #[error("there is no user yet: create an administrator first")]
    NoUsers,
}

impl Denial {
    /// Whether other credentials may be let in.
    pub fn asks_for_credentials(&self) -> bool {
        match self {
            Self::Missing
            | Self::Unreadable
            | Self::Unnamed
            | Self::Wrong(_)
            | Self::NoTokens
            | Self::Token(_)
            | Self::NoUsers => true,
            Self::TenantUnknown(_)
            | Self::NotAMember { .. }
            | Self::Throttled { .. }
            | Self::Busy
            | Self::Failed(_) => false,
        }
    }
}
