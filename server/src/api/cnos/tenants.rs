//! Tenants, members and roles, as statements make and change them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tidewire_sql::tenancy::TenantStatement;
use tidewire_storage::schema::Tenant;

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::core::state::CoreState;
use crate::ring::sleep;
use crate::runtime::clock::now_ns;
use tidewire_base::catalog::{CatalogError, SchemaChange, TenantChange};

/// How often tenants are looked for whose time is over.
const TICK: Duration = Duration::from_secs(10);

/// Takes away tenants that were dropped and whose time is over.
pub(in crate::api) async fn run_purge(core: Rc<CoreState>) {
    loop {
        sleep(TICK).await;
        if let Err(refusal) = purge(&core, now_ns()).await {
            log::warn!("tenants that were dropped stay for now: {refusal}");
        }
    }
}

async fn purge(core: &CoreState, now_ns: i64) -> Result<(), CatalogError> {
    let is_over = |tenant: &Arc<Tenant>| tenant.gone_at_ns.is_some_and(|at| at <= now_ns);
    if core.catalog().tenants.values().any(is_over) {
        core.peers.change(SchemaChange::Tenant(TenantChange::Purge { now_ns })).await?;
    }
    Ok(())
}

/// Carries out what is said of tenants.
pub(super) async fn change(context: &RequestContext<'_>, statement: TenantStatement) -> Result<(), Fault> {
    let now_ns = context.now_ns;
    let change = match statement {
        TenantStatement::Create { name, if_not_exists, options } => {
            TenantChange::Create { name, if_not_exists, options }
        }
        TenantStatement::Drop { name, if_exists, after_ns } => TenantChange::Drop { name, if_exists, after_ns, now_ns },
        TenantStatement::Recover { name, if_exists } => TenantChange::Recover { name, if_exists, now_ns },
        TenantStatement::Alter { name, alteration } => TenantChange::Alter { name, alteration },
    };
    // What is said of a tenant whose time is over is said of none.
    purge(context.core, now_ns).await?;
    context.core.peers.change(SchemaChange::Tenant(change)).await?;
    Ok(())
}
