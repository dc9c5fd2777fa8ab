//! What a SELECT puts out: its fields with wildcards expanded, and what they are called.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use arrow_schema::DataType;

use super::error::BindError;
use super::types::is_number;
use crate::budget::Budget;
use crate::front::influxql::ast::{CastType, ColumnSet, Expr, Field};

/// All fields and tags of a statement's relations.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Fields, each with the highest of its types.
    pub(super) fields: BTreeMap<String, DataType>,
    pub(super) tags: BTreeSet<String>,
}

/// One column of the answer.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) expr: Expr,
    pub(super) heading: String,
}

/// What wildcards stand for; `grouped` tags are left out of them.
pub(super) fn outputs(
    fields: &[Field],
    names: &Names,
    grouped: &[String],
    budget: &Budget,
) -> Result<Vec<Output>, BindError> {
    let mut named: Vec<(Expr, Option<String>)> = Vec::new();
    let grouped: HashSet<&str> = grouped.iter().map(String::as_str).collect();
    for Field { expr, alias } in fields {
        if has_wildcard(expr) {
            budget.take_columns(names.fields.keys().chain(&names.tags).map(String::as_str))?;
        }
        match expr {
            Expr::Wildcard(set) => named.extend(columns(names, *set, &grouped, |_| true)),
            Expr::Regex(regex) => {
                named.extend(columns(names, ColumnSet::All, &grouped, |name| regex.matches.is_match(name)));
            }
            expr => match wildcard_of(expr) {
                None => named.push((expr.clone(), alias.clone())),
                Some((function, wildcard)) => {
                    let is_meant = |name: &str| match wildcard {
                        Expr::Regex(regex) => regex.matches.is_match(name),
                        _ => true,
                    };
                    for (name, _) in names.fields.iter().filter(|(name, t)| is_meant(name) && takes(function, t)) {
                        let stem = alias.clone().unwrap_or_else(|| name_of(expr));
                        named.push((with_name(expr, name), Some(format!("{stem}_{name}"))));
                    }
                }
            },
        }
    }
    Ok(headings(named))
}

/// Whether an expression stands for several columns.
fn has_wildcard(expr: &Expr) -> bool {
    matches!(expr, Expr::Wildcard(_) | Expr::Regex(_)) || wildcard_of(expr).is_some()
}

fn columns<'a>(
    names: &'a Names,
    set: ColumnSet,
    grouped: &'a HashSet<&str>,
    is_meant: impl Fn(&str) -> bool + 'a,
) -> impl Iterator<Item = (Expr, Option<String>)> + 'a {
    let fields = names.fields.keys().filter(move |_| set != ColumnSet::Tags).map(|name| (name, CastType::Field));
    let tags = names.tags.iter().filter(move |name| set != ColumnSet::Fields && !grouped.contains(name.as_str()));
    let mut all: Vec<_> = fields.chain(tags.map(|name| (name, CastType::Tag))).collect();
    all.sort_by_key(|(name, cast)| (*name, *cast == CastType::Tag));
    let as_name = |(name, cast): (&String, CastType)| (Expr::Name { name: name.clone(), cast: Some(cast) }, None);
    all.into_iter().filter(move |(name, _)| is_meant(name)).map(as_name)
}

/// The function whose first argument is a wildcard or a regular expression, and that.
fn wildcard_of(expr: &Expr) -> Option<(&str, &Expr)> {
    match expr {
        Expr::Call { name, args } => match args.first()? {
            wildcard @ (Expr::Wildcard(_) | Expr::Regex(_)) => Some((name, wildcard)),
            inner => wildcard_of(inner),
        },
        Expr::Paren(inner) => wildcard_of(inner),
        _ => None,
    }
}

/// The expression with a name in the place of its wildcard.
fn with_name(expr: &Expr, field: &str) -> Expr {
    match expr {
        Expr::Call { name, args } => {
            let mut args = args.clone();
            if let Some(first) = args.first_mut() {
                *first = with_name(first, field);
            }
            Expr::Call { name: name.clone(), args }
        }
        Expr::Paren(inner) => Expr::Paren(Box::new(with_name(inner, field))),
        Expr::Wildcard(_) | Expr::Regex(_) => Expr::Name { name: field.to_owned(), cast: Some(CastType::Field) },
        other => other.clone(),
    }
}

/// Whether a wildcard in a function stands for fields of a type.
fn takes(function: &str, data_type: &DataType) -> bool {
    match function {
        "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "sample" => true,
        "min" | "max" => is_number(data_type) || *data_type == DataType::Boolean,
        _ => is_number(data_type),
    }
}

/// What a column without a name of its own is called: the names and functions in it.
fn name_of(expr: &Expr) -> String {
    fn names(expr: &Expr, found: &mut Vec<String>) {
        match expr {
            Expr::Name { name, .. } => found.push(name.clone()),
            Expr::Call { name, .. } => found.push(name.clone()),
            Expr::Distinct(_) => found.push("distinct".to_owned()),
            other => other.children().into_iter().for_each(|child| names(child, found)),
        }
    }
    let mut found = Vec::new();
    names(expr, &mut found);
    found.join("_")
}

/// Gives every column a name of its own. Aliases are taken first and never changed.
fn headings(named: Vec<(Expr, Option<String>)>) -> Vec<Output> {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for alias in named.iter().filter_map(|(_, alias)| alias.as_ref()) {
        *taken.entry(alias.clone()).or_default() += 1;
    }
    let heading = |(expr, alias): (Expr, Option<String>)| {
        if let Some(heading) = alias {
            return Output { expr, heading };
        }
        let name = name_of(&expr);
        let mut heading = name.clone();
        if let Some(&count) = taken.get(&name) {
            let mut count = count;
            heading = format!("{name}_{count}");
            while taken.contains_key(&heading) {
                count += 1;
                heading = format!("{name}_{count}");
            }
            taken.insert(name, count + 1);
        }
        *taken.entry(heading.clone()).or_default() += 1;
        Output { expr, heading }
    };
    named.into_iter().map(heading).collect()
}
