//! Users, as SQL makes and changes them: those of InfluxQL, in one store.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};
use tidewire_sql::exec::ExecError;
use tidewire_sql::statement::{UserAlteration, UserStatement};
use tidewire_storage::schema::{PasswordHash, UserOptions};

use crate::api::context::RequestContext;
use crate::api::fault::Fault;
use crate::auth::password;
use tidewire_base::catalog::{CatalogError, SchemaChange, UserChange};

/// Carries out CREATE, ALTER or DROP USER.
pub(super) async fn change(context: &RequestContext<'_>, statement: UserStatement) -> Result<(), Fault> {
    let users = || context.core.catalog();
    let change = match statement {
        UserStatement::Create { name, if_not_exists, user } => {
            // Before the work of a hash.
            if users().users.contains_key(&name) {
                return if if_not_exists { Ok(()) } else { Err(CatalogError::UserExists(name).into()) };
            }
            let password = match user.password {
                Some(password) => hashed(password).await?,
                None => hashed(nobodys().map_err(|error| failed(&error))?).await?,
            };
            let (is_admin, options) = (user.is_admin, user.options);
            UserChange::Create { name, password, is_admin, options, if_not_exists }
        }
        UserStatement::Drop { name, if_exists } => UserChange::Drop { name, if_exists },
        UserStatement::Alter { name, alteration } => {
            if !users().users.contains_key(&name) {
                return Err(CatalogError::UserNotFound(name).into());
            }
            let kept = |options| UserChange::SetOptions { name: name.clone(), options };
            match alteration {
                UserAlteration::Rename(to) => UserChange::Rename { name, to },
                UserAlteration::Password(password) => {
                    UserChange::SetPassword { password: hashed(password).await?, name }
                }
                UserAlteration::Admin(is_admin) => UserChange::SetAdmin { name, is_admin },
                UserAlteration::Comment(comment) => {
                    kept(UserOptions { comment: Some(comment), ..UserOptions::default() })
                }
                UserAlteration::MustChangePassword(must) => {
                    kept(UserOptions { must_change_password: Some(must), ..UserOptions::default() })
                }
            }
        }
    };
    context.core.peers.change(SchemaChange::User(change)).await?;
    Ok(())
}

/// A password that nobody knows: who has none cannot log in until one is set.
fn nobodys() -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    // Up to 256 bytes come whole.
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

async fn hashed(password: String) -> Result<PasswordHash, Fault> {
    password::hash(password).await.map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Fault {
    ExecError::Internal(format!("a password could not be worked on: {error}")).into()
}
