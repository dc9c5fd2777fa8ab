//! All functions of SQL, by name.
//!
//! Names are resolved once a statement, when it is bound: what runs holds the function itself.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::definition::{Aggregate, Documentation, Function};
use super::{
    aggregate, bucket, conditional, conversion, digest, gauge, math, random, regular, session, shapes, state, text,
    text_part, time,
};

/// What a name means.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Known {
    /// A scalar function.
    Scalar(&'static Function),
    /// An aggregate.
    Aggregate(&'static Aggregate),
}

impl Known {
    /// Names and description.
    pub(crate) fn documentation(self) -> &'static Documentation {
        match self {
            Self::Scalar(function) => &function.documentation,
            Self::Aggregate(aggregate) => &aggregate.documentation,
        }
    }
}

/// Families of scalar functions.
static FAMILIES: [&[Function]; 14] = [
    math::FUNCTIONS,
    random::FUNCTIONS,
    text::FUNCTIONS,
    text_part::FUNCTIONS,
    regular::FUNCTIONS,
    digest::FUNCTIONS,
    conditional::FUNCTIONS,
    conversion::FUNCTIONS,
    bucket::FUNCTIONS,
    time::FUNCTIONS,
    gauge::FUNCTIONS,
    state::FUNCTIONS,
    shapes::FUNCTIONS,
    session::FUNCTIONS,
];

static NAMES: LazyLock<HashMap<&'static str, Known>> = LazyLock::new(|| {
    let all = scalars().map(Known::Scalar).chain(aggregates().map(Known::Aggregate));
    all.flat_map(|known| {
        let Documentation { name, aliases, .. } = known.documentation();
        std::iter::once(*name).chain(aliases.iter().copied()).map(move |name| (name, known))
    })
    .collect()
});

/// The function called `name`, in lower case.
pub(crate) fn find(name: &str) -> Option<Known> {
    NAMES.get(name).copied()
}

/// All scalar functions.
pub fn scalars() -> impl Iterator<Item = &'static Function> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// All aggregates.
pub fn aggregates() -> impl Iterator<Item = &'static Aggregate> {
    aggregate::AGGREGATES.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_means_one_function() {
        let count: usize = scalars()
            .map(|function| &function.documentation)
            .chain(aggregates().map(|aggregate| &aggregate.documentation))
            .map(|documentation| 1 + documentation.aliases.len())
            .sum();
        assert_eq!(NAMES.len(), count);
        for (name, known) in NAMES.iter() {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(known.documentation().usage.starts_with(known.documentation().name), "{name}");
            assert!(known.documentation().text.ends_with('.'), "{name}");
        }
    }
}
