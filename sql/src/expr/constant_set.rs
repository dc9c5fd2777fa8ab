//! The constants of a long `IN (…)` as a set, made once for a statement and shared by all that run it: a list of a
//! million constants is neither copied for each shard nor looked through for each batch.

use std::collections::HashSet;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use super::{Expr, Scalar};

/// At most this many constants are compared one by one, which costs less than a probe of a set.
const COMPARED_MAX: usize = 8;

/// A set of constants of one type, and maybe null.
pub struct ConstantSet {
    /// As they were written.
    list: Vec<Scalar>,
    /// Null is among them.
    pub(crate) has_null: bool,
    pub(crate) members: Members,
}

/// The constants without null.
pub(crate) enum Members {
    Int(HashSet<i64>),
    UInt(HashSet<u64>),
    Str(HashSet<Arc<str>>),
}

impl ConstantSet {
    /// The set of a list; the list again where it is short, or not of constants of one type that has sets.
    pub(crate) fn new(list: Vec<Expr>) -> Result<Self, Vec<Expr>> {
        fn all(list: &[Expr], is_fit: impl Fn(&Scalar) -> bool) -> bool {
            list.iter().all(|item| matches!(item, Expr::Literal(value) if *value == Scalar::Null || is_fit(value)))
        }
        fn gather<T: Hash + Eq>(list: &[Expr], pick: impl Fn(&Scalar) -> Option<T>) -> HashSet<T> {
            list.iter().filter_map(|item| if let Expr::Literal(value) = item { pick(value) } else { None }).collect()
        }
        let first = list.iter().find(|item| **item != Expr::Literal(Scalar::Null));
        let members = match first {
            _ if list.len() <= COMPARED_MAX => return Err(list),
            Some(Expr::Literal(Scalar::Int(_))) if all(&list, |value| matches!(value, Scalar::Int(_))) => {
                Members::Int(gather(&list, |value| if let Scalar::Int(value) = value { Some(*value) } else { None }))
            }
            Some(Expr::Literal(Scalar::UInt(_))) if all(&list, |value| matches!(value, Scalar::UInt(_))) => {
                Members::UInt(gather(&list, |value| if let Scalar::UInt(value) = value { Some(*value) } else { None }))
            }
            Some(Expr::Literal(Scalar::Str(_))) if all(&list, |value| matches!(value, Scalar::Str(_))) => Members::Str(
                gather(&list, |value| if let Scalar::Str(value) = value { Some(value.clone()) } else { None }),
            ),
            _ => return Err(list),
        };
        let list: Vec<Scalar> = list
            .into_iter()
            .filter_map(|item| if let Expr::Literal(value) = item { Some(value) } else { None })
            .collect();
        Ok(Self { has_null: list.contains(&Scalar::Null), list, members })
    }

    /// The constants as they were written.
    pub fn list(&self) -> &[Scalar] {
        &self.list
    }
}

impl PartialEq for ConstantSet {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl fmt::Debug for ConstantSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
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
        assert!(matches!(&set.members, Members::Int(members) if members.len() == 10) && !set.has_null);
        assert_eq!(set.list().len(), 20);
        let texts = (0..9).map(|n| Scalar::Str(n.to_string().into())).chain([Scalar::Null]);
        let set = ConstantSet::new(list(texts)).unwrap();
        assert!(matches!(&set.members, Members::Str(members) if members.len() == 9) && set.has_null);
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
