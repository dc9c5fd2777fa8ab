//! What a server knows of itself at a moment: rows of tables about it that are in no catalog.

/// What a server knows of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// Statements that run.
    pub queries: Vec<RunningQuery>,
    /// What was counted.
    pub usage: Vec<Usage>,
}

/// A statement that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningQuery {
    /// Its number.
    pub id: u64,
    /// Its text, or the beginning.
    pub text: String,
    /// Who runs it.
    pub user: String,
    /// The tenant that it is run in.
    pub tenant: String,
    /// The database of names without one.
    pub database: String,
    /// How long it has run, in nanoseconds.
    pub elapsed_ns: u64,
}

/// What was counted of one kind, in a tenant and a database of it, since the server began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// The table of `usage_schema`.
    pub meter: &'static str,
    /// The kind of request, as the reference calls it, where the table has that.
    pub api: &'static str,
    /// Tenant.
    pub tenant: String,
    /// Database, as the tenant knows it.
    pub database: String,
    /// Who asked, where the table has that.
    pub user: String,
    /// The count.
    pub value: u64,
}

/// What a statement may want to know of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Statements that run.
    pub queries: bool,
    /// What was counted.
    pub usage: bool,
}

/// Longer texts are not looked through: they are taken to want everything.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// What a text may want to know. It may want less.
pub fn wanted(text: &[u8]) -> Wanted {
    let has = |name: &str| {
        let is_name = |part: &[u8]| part.eq_ignore_ascii_case(name.as_bytes());
        text.len() > TEXT_BYTES_MAX || text.windows(name.len()).any(is_name)
    };
    Wanted { queries: has("queries"), usage: has("usage_schema") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_seen_in_any_case() {
        let of = |text: &str| {
            let Wanted { queries, usage } = wanted(text.as_bytes());
            (queries, usage)
        };
        assert_eq!(of("select * from m"), (false, false));
        assert_eq!(of("SHOW Queries"), (true, false));
        assert_eq!(of("select * from \"usage_schema\".http_queries"), (true, true));
        assert_eq!(of("select value from USAGE_SCHEMA.coord_writes"), (false, true));
        assert_eq!(of(&" ".repeat(TEXT_BYTES_MAX + 1)), (true, true));
    }
}
