//! Answers of `/api/v1/sql` as CSV: rows of cells that are read as what was asked for.

use crate::error::{Error, Result};
use crate::http::{self, Reply, Target};
use crate::write::encode;

/// Asks over a connection of its own and returns the rows.
pub(crate) fn ask(target: &Target, database: &str, text: &str) -> Result<Vec<Cells>> {
    let reply = http::call(target, &path(database), Some(ACCEPT), Some(text.as_bytes()))?;
    rows(text, reply)
}

/// What the request's Accept header must say.
pub(crate) const ACCEPT: &str = "application/csv";

/// Where a statement is posted.
pub(crate) fn path(database: &str) -> String {
    format!("/api/v1/sql?db={}", encode(database))
}

/// The rows of a reply, without the header; anything but 200 is an error that names the statement.
pub(crate) fn rows(text: &str, reply: Reply) -> Result<Vec<Cells>> {
    if reply.status != 200 {
        return Err(Error::Reply(format!("{text}\n  was answered {}", reply.excerpt())));
    }
    let body = String::from_utf8(reply.body).map_err(|_| Error::Reply(format!("{text}\n  gave no UTF-8")))?;
    Ok(parse_csv(&body).into_iter().skip(1).map(Cells).collect())
}

/// One row of an answer.
#[derive(Debug)]
pub(crate) struct Cells(Vec<String>);

impl Cells {
    pub(crate) fn text(&self, column: usize) -> Result<&str> {
        let missing = || Error::Reply(format!("an answer has no column {column}: {self:?}"));
        self.0.get(column).map(String::as_str).ok_or_else(missing)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, column: usize) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| Error::Reply(format!("{text:?} is not the number that was asked for: {self:?}")))
    }
}

/// RFC 4180: quoted cells may hold commas, line breaks and doubled quotes.
fn parse_csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut started) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        started = true;
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
                started = false;
            }
            other => cell.push(other),
        }
    }
    if started {
        row.push(cell);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_cells() {
        assert_eq!(parse_csv("a,\"b \"\"c\"\", d\"\n1,\n"), [["a", "b \"c\", d"], ["1", ""]]);
        assert_eq!(parse_csv("a\nb"), [["a"], ["b"]]);
        assert!(parse_csv("").is_empty());
    }
}
