//! Where the columns of a list stand, for many that are to be found in it.

use std::collections::HashMap;

use crate::schema::ColumnId;

/// Comparisons up to which a walk for each column is as fast as a table of all.
const WALKED_MAX: usize = 1024;

/// A list of columns as it was when it was looked at.
#[derive(Debug)]
pub(crate) enum ColumnPlaces {
    /// Few, or few of which are wanted.
    Walked(Vec<ColumnId>),
    /// Many.
    Hashed(HashMap<ColumnId, usize>),
}

impl ColumnPlaces {
    /// Of `columns`, of which some `wanted` are to be found.
    pub(crate) fn of(columns: impl ExactSizeIterator<Item = ColumnId>, wanted: usize) -> Self {
        match columns.len().saturating_mul(wanted) > WALKED_MAX {
            false => Self::Walked(columns.collect()),
            true => Self::Hashed(columns.zip(0..).collect()),
        }
    }

    /// The place of a column.
    pub(crate) fn find(&self, id: ColumnId) -> Option<usize> {
        match self {
            Self::Walked(columns) => columns.iter().position(|column| *column == id),
            Self::Hashed(places) => places.get(&id).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_are_found_where_they_stand() {
        for (count, wanted) in [(0, 1), (1, 1), (32, 32), (33, 32), (5000, 5000)] {
            let columns: Vec<ColumnId> = (0..count).rev().map(|id| ColumnId(3 * id)).collect();
            let places = ColumnPlaces::of(columns.iter().copied(), wanted);
            assert_eq!(matches!(places, ColumnPlaces::Hashed(_)), usize::from(count) * wanted > WALKED_MAX);
            assert!(columns.iter().enumerate().all(|(place, id)| places.find(*id) == Some(place)), "{count}");
            assert_eq!(places.find(ColumnId(1)), None);
        }
    }
}
