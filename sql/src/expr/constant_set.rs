//! The constants of a long `IN (…)` as a set, made once for a statement and shared by all that run it: a list of a
//! million constants is neither copied for each shard nor looked through for each batch.
//!
//! Sets go with the last copy of their plan, and that may be on a core that has writes to serve. So a set is a few
//! large pieces of memory, whatever its constants are, and costs the same to drop however many there are.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::{Expr, Scalar};

/// At most this many constants are compared one by one, which costs less than a probe of a set.
const COMPARED_MAX: usize = 8;

/// A set of constants of one type, and maybe null.
pub struct ConstantSet {
    /// The constants without null, as they were written.
    list: Constants,
    /// Where null stands among all of them, ascending.
    nulls: Vec<usize>,
    pub(crate) members: Members,
}

#[derive(PartialEq)]
enum Constants {
    Int(Vec<i64>),
    UInt(Vec<u64>),
    Str(Arc<Texts>),
}

/// The constants without null, to be found.
pub(crate) enum Members {
    Int(HashSet<i64>),
    UInt(HashSet<u64>),
    Str(TextSet),
}

/// Texts, one behind the other.
#[derive(Default, PartialEq)]
struct Texts {
    bytes: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }
}

/// A set of texts.
pub(crate) struct TextSet {
    texts: Arc<Texts>,
    /// Positions of texts that differ.
    table: HashTable<usize>,
    hasher: RandomState,
}

impl TextSet {
    fn new(texts: Arc<Texts>) -> Self {
        let hasher = RandomState::new();
        let mut table = HashTable::with_capacity(texts.ends.len());
        for at in 0..texts.ends.len() {
            let text = texts.get(at);
            let is_same = |&other: &usize| texts.get(other) == text;
            table.entry(hasher.hash_one(text), is_same, |&other| hasher.hash_one(texts.get(other))).or_insert(at);
        }
        Self { texts, table, hasher }
    }

    /// Whether `text` is a member.
    pub(crate) fn contains(&self, text: &str) -> bool {
        self.table.find(self.hasher.hash_one(text), |&at| self.texts.get(at) == text).is_some()
    }
}

impl ConstantSet {
    /// The set of a list; the list again where it is short, or not of constants of one type that has sets.
    pub(crate) fn new(list: Vec<Expr>) -> Result<Self, Vec<Expr>> {
        let is_null = |item: &Expr| *item == Expr::Literal(Scalar::Null);
        let first = if list.len() > COMPARED_MAX { list.iter().find(|item| !is_null(item)) } else { None };
        let constants = match first {
            Some(Expr::Literal(Scalar::Int(_))) => {
                all(&list, |value| if let Scalar::Int(value) = value { Some(*value) } else { None }).map(Constants::Int)
            }
            Some(Expr::Literal(Scalar::UInt(_))) => {
                all(&list, |value| if let Scalar::UInt(value) = value { Some(*value) } else { None })
                    .map(Constants::UInt)
            }
            Some(Expr::Literal(Scalar::Str(_))) => {
                let texts = all(&list, |value| if let Scalar::Str(text) = value { Some(&**text) } else { None });
                texts.map(|all: Vec<&str>| {
                    let mut texts = Texts::default();
                    all.into_iter().for_each(|text| texts.push(text));
                    Constants::Str(Arc::new(texts))
                })
            }
            _ => None,
        };
        let Some(constants) = constants else { return Err(list) };
        let members = match &constants {
            Constants::Int(values) => Members::Int(values.iter().copied().collect()),
            Constants::UInt(values) => Members::UInt(values.iter().copied().collect()),
            Constants::Str(texts) => Members::Str(TextSet::new(texts.clone())),
        };
        let nulls = list.iter().enumerate().filter(|(_, item)| is_null(item)).map(|(at, _)| at).collect();
        Ok(Self { list: constants, nulls, members })
    }

    /// Null is among the constants.
    pub(crate) fn has_null(&self) -> bool {
        !self.nulls.is_empty()
    }

    /// Constants, null and those that are there twice among them.
    pub fn count(&self) -> usize {
        let count = match &self.list {
            Constants::Int(values) => values.len(),
            Constants::UInt(values) => values.len(),
            Constants::Str(texts) => texts.ends.len(),
        };
        count + self.nulls.len()
    }

    /// The constants as they were written.
    pub fn constants(&self) -> impl Iterator<Item = Scalar> {
        let (mut nulls, mut values) = (self.nulls.iter().peekable(), 0..);
        (0..self.count()).map(move |at| {
            if nulls.next_if_eq(&&at).is_some() {
                return Scalar::Null;
            }
            let value = values.next().unwrap_or_default();
            match &self.list {
                Constants::Int(all) => Scalar::Int(all[value]),
                Constants::UInt(all) => Scalar::UInt(all[value]),
                Constants::Str(texts) => Scalar::Str(texts.get(value).into()),
            }
        })
    }

    /// The texts as they were written; `None` where not all are texts.
    pub(crate) fn texts(&self) -> Option<impl Iterator<Item = &str>> {
        match &self.list {
            Constants::Str(texts) if self.nulls.is_empty() => Some((0..texts.ends.len()).map(|at| texts.get(at))),
            _ => None,
        }
    }
}

/// What is picked of every constant that is not null; `None` where it is of one not to be had.
fn all<'a, T>(list: &'a [Expr], pick: impl Fn(&'a Scalar) -> Option<T>) -> Option<Vec<T>> {
    let values = list.iter().filter_map(|item| match item {
        Expr::Literal(Scalar::Null) => None,
        Expr::Literal(value) => Some(pick(value)),
        _ => Some(None),
    });
    values.collect()
}

impl PartialEq for ConstantSet {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list && self.nulls == other.nulls
    }
}

impl fmt::Debug for ConstantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.constants()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: impl IntoIterator<Item = Scalar>) -> Vec<Expr> {
        values.into_iter().map(Expr::Literal).collect()
    }

    #[test]
    fn long_lists_of_one_type_become_sets() {
        let set = ConstantSet::new(list((0..20).map(|n| Scalar::Int(n % 10)))).unwrap();
        assert!(matches!(&set.members, Members::Int(members) if members.len() == 10) && !set.has_null());
        assert_eq!((set.count(), set.texts().is_none()), (20, true));
        let texts = || (0..9).map(|n| Scalar::Str((n % 5).to_string().into()));
        let set = ConstantSet::new(list(texts().chain([Scalar::Null]))).unwrap();
        let Members::Str(members) = &set.members else { panic!("a set of texts") };
        assert!(set.has_null() && set.texts().is_none() && members.table.len() == 5);
        assert!(members.contains("4") && !members.contains("5") && !members.contains("34"));
        let set = ConstantSet::new(list(texts())).unwrap();
        assert_eq!(set.texts().unwrap().collect::<Vec<_>>(), ["0", "1", "2", "3", "4", "0", "1", "2", "3"]);
    }

    #[test]
    fn constants_come_back_as_they_were_written() {
        let texts = ["", "b", "", "ä", "b", "long text", "c", "d", "e"].map(|text| Scalar::Str(text.into()));
        let (null, none) = ([Scalar::Null], []);
        for values in [texts.to_vec(), (0..9).map(Scalar::Int).collect(), (0..9).map(Scalar::UInt).collect()] {
            for (before, behind) in [(&none[..], &none[..]), (&null, &none), (&none, &null), (&null, &null)] {
                let all = [before, &values[..4], behind, before, &values[4..], behind].concat();
                let set = ConstantSet::new(list(all.clone())).unwrap();
                assert_eq!(set.constants().collect::<Vec<_>>(), all);
                assert!(set == ConstantSet::new(list(all)).unwrap());
            }
        }
    }

    #[test]
    fn other_lists_stay_as_they_are() {
        let short = list((0..8).map(Scalar::Int));
        let mixed = list((0..9).map(Scalar::Int).chain([Scalar::UInt(1)]));
        let floats = list((0..9).map(|n| Scalar::Float(f64::from(n))));
        let nulls = list((0..9).map(|_| Scalar::Null));
        let computed: Vec<Expr> = (0..9).map(Expr::Column).collect();
        for list in [short, mixed, floats, nulls, computed] {
            assert_eq!(ConstantSet::new(list.clone()).unwrap_err(), list);
        }
    }
}
