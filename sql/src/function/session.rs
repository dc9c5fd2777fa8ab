//! What a statement can ask of the request that it came with.

use arrow_schema::TimeUnit;

use super::definition::{Documentation, Function, wrong_arguments};
use crate::error::SqlError;
use crate::expr::{Scalar, Typed};

pub(super) static FUNCTIONS: &[Function] = &[
    Function::own(
        Documentation::new("now", "now()", "Time of the request, one for the whole statement."),
        |name, args, session| constant(name, args, Scalar::Time(session.now_ns, TimeUnit::Nanosecond)),
    ),
    Function::own(Documentation::new("current_user", "current_user()", "Name of the user."), |name, args, session| {
        constant(name, args, Scalar::Str(session.user.as_str().into()))
    }),
    Function::own(
        Documentation::new("current_tenant", "current_tenant()", "Name of the tenant."),
        |name, args, session| constant(name, args, Scalar::Str(session.tenant.as_str().into())),
    ),
    Function::own(
        Documentation::new(
            "current_role",
            "current_role()",
            "Name of the user's role in the tenant; null without one.",
        ),
        |name, args, session| {
            let role = session.role().map_or(Scalar::Null, |role| Scalar::Str(role.into()));
            constant(name, args, role)
        },
    ),
    Function::own(
        Documentation::new("current_database", "current_database()", "Name of the database of names without one."),
        |name, args, session| constant(name, args, Scalar::Str(session.database.as_str().into())),
    ),
];

/// The server's variable of that name, `@@` and all.
pub(crate) fn variable(name: &str) -> Option<Scalar> {
    let value = match name {
        "@@server_version" => concat!("tidewire ", env!("CARGO_PKG_VERSION")),
        "@@deployment_mode" => "singleton",
        "@@cluster_name" => "tidewire",
        "@@node_id" => "0",
        _ => return None,
    };
    Some(Scalar::Str(value.into()))
}

fn constant(name: &str, mut args: Vec<Typed>, value: Scalar) -> Result<Typed, SqlError> {
    if args.is_empty() {
        return Ok(Typed::literal(value));
    }
    args.truncate(1);
    Err(wrong_arguments(name, &args))
}
