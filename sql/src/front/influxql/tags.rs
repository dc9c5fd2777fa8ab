//! Which series satisfy a condition on tags, InfluxQL's way: a tag that a series lacks is the empty text.

use regex::Regex;
use roaring::RoaringBitmap;
use tidewire_storage::schema::ColumnId;

use crate::exec::shard::TagIndex;

/// Memory that a compiled pattern may take: a client's pattern must not fill the server's.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A condition over the tags of one table.
#[derive(Debug, Clone)]
pub enum TagCondition {
    /// All hold.
    All(Vec<TagCondition>),
    /// One holds.
    Any(Vec<TagCondition>),
    /// The value of a tag matches, or does not.
    Tag {
        /// The tag; `None` for one that the table lacks.
        column: Option<ColumnId>,
        /// What the value is held against.
        matches: TagMatch,
        /// `!=` or `!~`.
        negated: bool,
    },
}

/// What the value of a tag, or the name of a measurement, is held against. Compiled once, and cheap to clone.
#[derive(Debug, Clone)]
pub enum TagMatch {
    /// This text.
    Text(String),
    /// A pattern that is found in it.
    Pattern(Regex),
}

impl PartialEq for TagMatch {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Pattern(one), Self::Pattern(other)) => one.as_str() == other.as_str(),
            _ => false,
        }
    }
}

impl TagMatch {
    /// A pattern; the error says why it is none.
    pub fn pattern(text: &str) -> Result<Self, String> {
        let built = regex::RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
        built.map(Self::Pattern).map_err(|error| format!("error parsing regexp: {error}"))
    }

    /// Whether `value` matches.
    pub fn is_match(&self, value: &str) -> bool {
        match self {
            Self::Text(text) => text == value,
            Self::Pattern(pattern) => pattern.is_match(value),
        }
    }
}

impl TagCondition {
    /// The series of `index` for which it holds.
    pub fn series<I: TagIndex>(&self, index: &I) -> RoaringBitmap {
        match self {
            Self::All(parts) => {
                parts.iter().map(|part| part.series(index)).reduce(|all, one| all & one).unwrap_or_else(|| all(index))
            }
            Self::Any(parts) => {
                parts.iter().map(|part| part.series(index)).fold(RoaringBitmap::new(), |any, one| any | one)
            }
            Self::Tag { column, matches, negated } => {
                let matching = matching(index, *column, matches);
                if *negated { all(index) - matching } else { matching }
            }
        }
    }
}

fn all<I: TagIndex>(index: &I) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..index.series_count());
    all
}

/// The series whose value matches. Each distinct value is looked at once.
fn matching<I: TagIndex>(index: &I, column: Option<ColumnId>, matches: &TagMatch) -> RoaringBitmap {
    let lacking_match = matches.is_match("");
    let Some(column) = column else {
        return if lacking_match { all(index) } else { RoaringBitmap::new() };
    };
    let mut series = RoaringBitmap::new();
    if let (TagMatch::Text(text), false) = (matches, lacking_match) {
        if let Some(code) = index.code(column, text) {
            index.add_postings(column, code, &mut series);
        }
        return series;
    }
    let of_values = |wanted: bool| {
        let mut series = RoaringBitmap::new();
        for code in (0..index.value_count(column)).filter(|code| matches.is_match(index.value(column, *code)) == wanted)
        {
            index.add_postings(column, code, &mut series);
        }
        series
    };
    if lacking_match { all(index) - of_values(false) } else { of_values(true) }
}
