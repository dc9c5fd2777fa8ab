//! InfluxDB's words for a request that is not let in.

use tidewire_storage::schema::{Access, Need};

use crate::api::fault::Forbidden;
use crate::auth::denial::Denial;
use crate::auth::token::TokenFault;

/// What credentials are asked for.
pub(super) const REALM: &str = "InfluxDB";

/// What is said to anybody who comes before the first administrator.
pub(super) const NO_ADMIN: &str = "error authorizing query: create admin user first or disable authentication";

/// The status for one of whom nobody knows who he is.
pub(super) fn denied_status(denial: &Denial) -> u16 {
    match denial {
        Denial::NoUsers | Denial::NotAMember { .. } => 403,
        Denial::TenantUnknown(_) => 404,
        Denial::Throttled { .. } | Denial::Busy => 429,
        Denial::Failed(_) => 500,
        _ => 401,
    }
}

/// The words for him.
pub(super) fn denied(denial: &Denial) -> String {
    let words = match denial {
        Denial::Missing | Denial::Unreadable => "unable to parse authentication credentials",
        Denial::Unnamed => "username required",
        Denial::Wrong(_) => "authorization failed",
        Denial::NoTokens => "bearer auth disabled",
        Denial::Token(fault) => match fault {
            TokenFault::Malformed => "token contains an invalid number of segments",
            TokenFault::Algorithm(name) => return format!("unexpected signing method: {name}"),
            TokenFault::Signature => "signature is invalid",
            TokenFault::NoExpiry => "token expiration required",
            TokenFault::Expired => "Token is expired",
            TokenFault::Early => "Token is not valid yet",
            TokenFault::Unnamed => "token must contain a username",
            TokenFault::NoText => "username in token must be a string",
            TokenFault::UserUnknown => "user not found",
        },
        Denial::NoUsers => NO_ADMIN,
        Denial::TenantUnknown(_)
        | Denial::NotAMember { .. }
        | Denial::Throttled { .. }
        | Denial::Busy
        | Denial::Failed(_) => return denial.to_string(),
    };
    words.to_owned()
}

/// The words for one who may not do something.
pub(super) fn forbidden(Forbidden { user, need, statement }: &Forbidden) -> String {
    match (statement, need) {
        (Some(statement), need) => {
            let requires = match need {
                Need::Admin | Need::Tenant { .. } => "admin privilege".to_owned(),
                Need::Database { name, access } if access.has(Access::WRITE) => format!("WRITE on {name}"),
                Need::Database { name, .. } => format!("READ on {name}"),
            };
            format!(
                "error authorizing query: {user} not authorized to execute statement '{statement}', requires {requires}"
            )
        }
        (None, Need::Database { name, .. }) => {
            format!("{user:?} user is not authorized to write to database {name:?}")
        }
        (None, Need::Admin | Need::Tenant { .. }) => "error authorizing admin access".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_allowed_is_said_in_influxdbs_words() {
        let of = |need, statement: Option<&str>| {
            forbidden(&Forbidden { user: "bob".to_owned(), need, statement: statement.map(str::to_owned) })
        };
        assert_eq!(
            of(Need::of("d", Access::READ), Some("SELECT v FROM m")),
            "error authorizing query: bob not authorized to execute statement 'SELECT v FROM m', requires READ on d"
        );
        assert!(of(Need::of("", Access::READ), Some("SHOW QUERIES")).ends_with("requires READ on "));
        assert!(of(Need::of("d", Access::WRITE), Some("DELETE FROM m")).ends_with("requires WRITE on d"));
        assert!(of(Need::Admin, Some("DROP DATABASE d")).ends_with("'DROP DATABASE d', requires admin privilege"));
        let write = of(Need::of("d", Access::WRITE), None);
        assert_eq!(write, "\"bob\" user is not authorized to write to database \"d\"");
        assert_eq!(of(Need::Admin, None), "error authorizing admin access");
    }
}
