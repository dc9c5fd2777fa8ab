//! Statements about users and what they may do.

use crate::front::influxql::ast::Op;
use crate::front::influxql::ast::{Access, Statement};
use crate::front::influxql::error::ParseError;
use crate::front::influxql::text::cursor::Cursor;
use crate::front::influxql::text::lexer::Kind;

impl Cursor<'_> {
    /// What follows CREATE USER.
    pub(super) fn create_user(&mut self) -> Result<Statement, ParseError> {
        let name = self.identifier()?;
        self.expect("WITH")?;
        self.expect("PASSWORD")?;
        let password = self.string()?;
        let admin = self.accept("WITH");
        if admin {
            self.expect("ALL")?;
            self.expect("PRIVILEGES")?;
        }
        Ok(Statement::CreateUser { name, password, admin })
    }

    /// What follows SET.
    pub(super) fn set_password(&mut self) -> Result<Statement, ParseError> {
        self.expect("PASSWORD")?;
        self.expect("FOR")?;
        let name = self.identifier()?;
        if self.peek().kind != Kind::Operator(Op::Eq) {
            return Err(self.unexpected("="));
        }
        self.skip();
        Ok(Statement::SetPassword { name, password: self.string()? })
    }

    /// What follows GRANT, or REVOKE; `preposition` is TO or FROM, and `either` names it beside ON.
    pub(super) fn access(
        &mut self,
        preposition: &'static str,
        either: &'static str,
    ) -> Result<(Access, Option<String>, String), ParseError> {
        let access = match () {
            () if self.accept("READ") => Access::Read,
            () if self.accept("WRITE") => Access::Write,
            () if self.accept("ALL") => {
                self.accept("PRIVILEGES");
                Access::All
            }
            () => return Err(self.unexpected("READ, WRITE, ALL [PRIVILEGES]")),
        };
        if access == Access::All && self.accept(preposition) {
            return Ok((access, None, self.identifier()?));
        }
        if !self.accept("ON") {
            return Err(self.unexpected(if access == Access::All { either } else { "ON" }));
        }
        let database = Some(self.identifier()?);
        self.expect(preposition)?;
        Ok((access, database, self.identifier()?))
    }
}
