//! CnosDB's words for a request that is not let in.

use tidewire_storage::schema::{Access, DEFAULT_TENANT, Need, TenantPower, tenant_and_database};

use crate::auth::denial::Denial;

/// The number that CnosDB has for its default tenant.
const TENANT_ID: &str = "78322384368497284380257291774744000001";

/// Nothing that CnosDB reads says who asks.
const NO_HEADER: &str = "000000";
/// What says it cannot be read.
const BAD_HEADER: &str = "040006";
/// It says somebody who is not there, or not with this password.
const WRONG: &str = "010016";
/// Something is short, for now.
const EXHAUSTED: &str = "010012";
/// Somebody may not do that.
const FORBIDDEN: &str = "010004";

/// What stands for a tenant where CnosDB has its number: of those that were made here, their name.
fn tenant_id(name: &str) -> &str {
    if name == DEFAULT_TENANT { TENANT_ID } else { name }
}

/// Code and text for one who may not do something.
pub(super) fn forbidden(need: &Need) -> (&'static str, String) {
    let expected = match need {
        Need::Admin => "maintainer for system".to_owned(),
        Need::Database { name, access } => {
            let privilege = match *access {
                Access::READ => "Read",
                Access::WRITE => "Write",
                _ => "Full",
            };
            let (tenant, name) = tenant_and_database(name);
            format!("{privilege} on database {name} of tenant {}", tenant_id(tenant))
        }
        Need::Tenant { name, power } => {
            let id = tenant_id(name);
            match power {
                TenantPower::Databases => format!("Write on all databases of tenant {id}"),
                TenantPower::Roles => format!("maintainer for all roles of tenant {id}"),
                TenantPower::Members => format!("maintainer for all members of tenant {id}"),
            }
        }
    };
    (FORBIDDEN, format!("Insufficient privileges, expected [{expected}]"))
}

/// Status, code and text for one of whom nobody knows who he is. CnosDB's documents say 401 for what its server answers
/// with 422 and 400.
pub(super) fn denied(denial: &Denial) -> (u16, &'static str, String) {
    let denied = |user: &str| format!("Access denied for user '{user}' (using xxx) username or password invalid");
    match denial {
        Denial::Missing => (401, NO_HEADER, "Missing request header \"authorization\"".to_owned()),
        Denial::Unreadable => (401, BAD_HEADER, "Parse auth, malformed basic auth encoding".to_owned()),
        Denial::Unnamed => (401, WRONG, format!("Auth error: {}", denied(""))),
        Denial::Wrong(user) => (401, WRONG, format!("Auth error: {}", denied(user))),
        Denial::NoTokens | Denial::Token(_) | Denial::NoUsers => (401, WRONG, format!("Auth error: {denial}")),
        // They are let in nowhere else by other credentials.
        Denial::TenantUnknown(tenant) => (422, WRONG, format!("Auth error: The tenant {tenant} not found")),
        Denial::NotAMember { user, tenant } => {
            (422, WRONG, format!("Auth error: The member {user} of tenant {tenant} not found"))
        }
        Denial::Throttled { .. } | Denial::Busy => (429, EXHAUSTED, format!("Auth error: {denial}")),
        Denial::Failed(_) => (500, WRONG, format!("Auth error: {denial}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_have_cnosdbs_names() {
        let words = |need| forbidden(&need).1;
        assert_eq!(
            words(Need::of("fd", Access::WRITE)),
            "Insufficient privileges, expected [Write on database fd of tenant 78322384368497284380257291774744000001]"
        );
        assert!(words(Need::of("d", Access::READ)).contains("[Read on database d of"));
        assert!(words(Need::of("d", Access::DEFINE)).contains("[Full on database d of"));
        assert_eq!(words(Need::Admin), "Insufficient privileges, expected [maintainer for system]");
    }

    #[test]
    fn wrong_credentials_are_401_in_cnosdbs_words() {
        let wrong = denied(&Denial::Wrong("u".to_owned()));
        let words = "Auth error: Access denied for user 'u' (using xxx) username or password invalid".to_owned();
        assert_eq!(wrong, (401, "010016", words));
        assert_eq!(denied(&Denial::Missing), (401, "000000", "Missing request header \"authorization\"".to_owned()));
        assert_eq!(denied(&Denial::Busy).0, 429);
    }
}
