//! DELETE FROM table [alias] [WHERE predicate].

use super::parsed::Parsed;
use super::reader::Reader;
use crate::error::SqlError;

impl Reader<'_> {
    pub(super) fn delete(&mut self) -> Result<Parsed, SqlError> {
        self.parser.next_token();
        if !self.word("FROM") {
            return Err(self.expected("FROM"));
        }
        let table = self.object_name()?;
        let named = self.word("AS");
        let alias = if named || self.at_alias() { Some(self.identifier()?) } else { None };
        let predicate = self.predicate()?;
        Ok(Parsed::Delete { table, alias, predicate })
    }

    /// Whether a word stands here that is no clause of DELETE's.
    fn at_alias(&self) -> bool {
        const CLAUSES: [&str; 5] = ["WHERE", "USING", "RETURNING", "ORDER", "LIMIT"];
        match &self.parser.peek_token_ref().token {
            sqlparser::tokenizer::Token::Word(word) => {
                word.quote_style.is_some() || !CLAUSES.iter().any(|clause| word.value.eq_ignore_ascii_case(clause))
            }
            _ => false,
        }
    }
}
