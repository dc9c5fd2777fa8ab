//! What can go wrong: with a statement before it runs ([`statement`]), and with a query that does ([`execution`]).

pub(crate) mod execution;
mod statement;

pub use execution::ExecError;
pub use statement::{GeometryError, Position, RootFault, SqlError, SqlErrorKind, TenancyError, WindowError};
