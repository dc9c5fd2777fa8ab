//! Who a request comes from.

use std::sync::Arc;

use tidewire_storage::schema::{Catalog, DEFAULT_TENANT, Membership, Rights, User};

use super::denial::Denial;

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
    /// What the principal may do in a tenant.
    ///
    /// # Errors
    ///
    /// When the tenant is not there, or the user not in it.
    pub fn rights(&self, catalog: &Catalog, tenant: &str) -> Result<Rights, Denial> {
        let unknown = || Denial::TenantUnknown(tenant.to_owned());
        match self {
            // Nothing was said of any tenant: the one that is there has no members.
            Self::User(user) if tenant == DEFAULT_TENANT && catalog.tenants.is_empty() => Ok(Rights::Of(user.clone())),
            Self::User(user) => {
                let (user, found) = (user.clone(), catalog.tenant(tenant).ok_or_else(unknown)?);
                // Users of InfluxQL are members of nothing: what they were granted lets them into the default tenant.
                if tenant != DEFAULT_TENANT && !user.is_admin && found.role_of(&user.name).is_none() {
                    return Err(Denial::NotAMember { user: user.name.to_string(), tenant: tenant.to_owned() });
                }
                Ok(Rights::In(Membership { user, tenant: found }))
            }
            Self::Anybody if tenant != DEFAULT_TENANT && catalog.tenant(tenant).is_none() => Err(unknown()),
            Self::Anybody => Ok(Rights::All),
            Self::First | Self::Guest => Ok(Rights::None),
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
