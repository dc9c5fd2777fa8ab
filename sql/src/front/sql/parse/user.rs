//! CREATE, ALTER and DROP USER.

use sqlparser::tokenizer::Token;

use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::SqlError;
use crate::statement::{NewUser, UserAlteration};

impl Reader<'_> {
    /// What follows `CREATE USER`: `[IF NOT EXISTS] u [WITH option = value [,] …]`
    pub(super) fn create_user(&mut self) -> Result<Parsed, SqlError> {
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.identifier()?;
        let mut user = NewUser::default();
        if self.word("WITH") {
            loop {
                match self.user_option()? {
                    UserAlteration::Password(password) => user.password = Some(password),
                    UserAlteration::Admin(is_admin) => user.is_admin = is_admin,
                    UserAlteration::Comment(comment) => user.options.comment = Some(comment),
                    UserAlteration::MustChangePassword(must) => user.options.must_change_password = Some(must),
                    UserAlteration::Rename(_) => {}
                }
                let _ = self.parser.consume_token(&Token::Comma);
                if !matches!(self.parser.peek_token_ref().token, Token::Word(_)) {
                    break;
                }
            }
        }
        Ok(Parsed::CreateUser { name, if_not_exists, user })
    }

    /// What follows `ALTER USER`: `u RENAME TO v | SET option = value`
    pub(super) fn alter_user(&mut self) -> Result<Parsed, SqlError> {
        let name = self.identifier()?;
        if self.words(&["RENAME", "TO"]) {
            let to = super::name::fold(&self.identifier()?);
            return Ok(Parsed::AlterUser { name, alteration: UserAlteration::Rename(to) });
        }
        if !self.word("SET") {
            return Err(self.expected("SET or RENAME TO"));
        }
        Ok(Parsed::AlterUser { name, alteration: self.user_option()? })
    }

    /// What follows `DROP USER`.
    pub(super) fn drop_user(&mut self) -> Result<Parsed, SqlError> {
        let if_exists = self.words(&["IF", "EXISTS"]);
        Ok(Parsed::DropUser { name: self.identifier()?, if_exists })
    }

    fn user_option(&mut self) -> Result<UserAlteration, SqlError> {
        let expected = self.expected("password, must_change_password, comment or granted_admin");
        let option = self.identifier()?.value.to_ascii_lowercase();
        self.token(&Token::Eq)?;
        match option.as_str() {
            "password" => Ok(UserAlteration::Password(self.quoted()?)),
            "comment" => Ok(UserAlteration::Comment(self.quoted()?.into())),
            "must_change_password" => Ok(UserAlteration::MustChangePassword(self.switch()?)),
            "granted_admin" => Ok(UserAlteration::Admin(self.switch()?)),
            "rsa_public_key" => Err(SqlError::unsupported("rsa_public_key of a user")),
            _ => Err(expected),
        }
    }
}
