//! Tenants, members and roles: what must be allowed for what is said of them.

use tidewire_storage::schema::{Need, TenantPower};

use super::binder::Binder;
use crate::error::SqlError;
use crate::tenancy::{TenantAlteration, TenantStatement};

impl Binder<'_> {
    /// The statement for one who may make it; roles are those of the session's tenant.
    pub(super) fn tenant(&self, statement: TenantStatement) -> Result<TenantStatement, SqlError> {
        let TenantStatement::Alter { name, alteration } = statement else {
            self.require(Need::Admin)?;
            return Ok(statement);
        };
        let (name, need) = match &alteration {
            TenantAlteration::AddMember { .. }
            | TenantAlteration::SetMember { .. }
            | TenantAlteration::RemoveMember { .. } => {
                let power = TenantPower::Members;
                (name.clone(), Need::Tenant { name, power })
            }
            TenantAlteration::CreateRole { .. }
            | TenantAlteration::DropRole { .. }
            | TenantAlteration::Grant { .. }
            | TenantAlteration::Revoke { .. } => {
                let (name, power) = (self.session.tenant.clone(), TenantPower::Roles);
                (name.clone(), Need::Tenant { name, power })
            }
            TenantAlteration::Comment(_) | TenantAlteration::DropAfter(_) | TenantAlteration::Limiter(_) => {
                (name, Need::Admin)
            }
        };
        self.require(need)?;
        Ok(TenantStatement::Alter { name, alteration })
    }
}
