//! GROUP BY: what rows are grouped by, and with GROUPING SETS, ROLLUP and CUBE in which sets of that.
//!
//! A query with sets is UNION ALL of one grouping for each set, over a copy of the rows each. A key that is not of the
//! set is null there, and `grouping(key, …)` is a number that all groups of a set have in common: a bit for each key,
//! the last one's lowest, which is 1 where the key is not of the set.

use arrow_schema::{DataType, SchemaRef};
use sqlparser::ast::{self, GroupByExpr};

use super::arguments::arguments;
use super::binder::Binder;
use super::expr::{Calls, ExprBinder};
use super::gaps::GROUPING_AT;
use super::heading;
use super::relation::schema_of;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::constant::null;
use crate::expr::{AggregateCall, Expr, Scalar, Typed};
use crate::plan::Plan;

/// Sets of one GROUP BY. Each reads the rows once.
const SETS_MAX: usize = 64;

/// Arguments of `grouping`: each is a bit of a BIGINT that is not negative.
const ARGUMENTS_MAX: usize = 63;

/// What GROUP BY says.
pub(super) struct GroupBy<'e> {
    /// All keys.
    pub(super) exprs: Vec<&'e ast::Expr>,
    /// Sets of places of them; `None` for all keys in one.
    pub(super) sets: Option<Vec<Vec<usize>>>,
}

impl<'e> GroupBy<'e> {
    /// Reads GROUP BY. `resolved` is the expression that one stands for.
    pub(super) fn of(
        group_by: &'e GroupByExpr,
        resolved: impl Fn(&'e ast::Expr) -> Result<&'e ast::Expr, SqlError>,
    ) -> Result<Self, SqlError> {
        let GroupByExpr::Expressions(items, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with modifiers"));
        }
        let mut exprs = Vec::new();
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut has_sets = false;
        for item in items {
            let mut places = |list: &'e [ast::Expr]| -> Result<Vec<usize>, SqlError> {
                let start = exprs.len();
                for expr in list {
                    exprs.push(resolved(expr)?);
                }
                Ok((start..exprs.len()).collect())
            };
            let further: Vec<Vec<usize>> = match item {
                ast::Expr::GroupingSets(lists) => {
                    lists.iter().map(|list| places(list)).collect::<Result<_, SqlError>>()?
                }
                ast::Expr::Rollup(lists) => {
                    let parts: Vec<_> = lists.iter().map(|list| places(list)).collect::<Result<_, SqlError>>()?;
                    check_count(parts.len().checked_add(1))?;
                    (0..=parts.len()).rev().map(|count| parts[..count].concat()).collect()
                }
                ast::Expr::Cube(lists) => {
                    let parts: Vec<_> = lists.iter().map(|list| places(list)).collect::<Result<_, SqlError>>()?;
                    check_count(1_usize.checked_shl(parts.len() as u32))?;
                    let chosen = |bits: usize| parts.iter().enumerate().filter(move |(at, _)| bits >> at & 1 == 1);
                    (0..1 << parts.len())
                        .rev()
                        .map(|bits| chosen(bits).flat_map(|(_, part)| part.clone()).collect())
                        .collect()
                }
                ast::Expr::Tuple(list) => vec![places(list)?],
                expr => {
                    let [place] = [places(std::slice::from_ref(expr))?];
                    sets.iter_mut().for_each(|set| set.extend(&place));
                    continue;
                }
            };
            has_sets = true;
            check_count(sets.len().checked_mul(further.len()))?;
            let with =
                |set: &Vec<usize>| further.iter().map(|more| [set.as_slice(), more].concat()).collect::<Vec<_>>();
            sets = sets.iter().flat_map(with).collect();
        }
        Ok(Self { exprs, sets: has_sets.then_some(sets) })
    }
}

fn check_count(sets: Option<usize>) -> Result<(), SqlError> {
    match sets {
        Some(..=SETS_MAX) => Ok(()),
        _ => Err(SqlErrorKind::TooMany { what: "grouping sets", max: SETS_MAX }.into()),
    }
}

impl ExprBinder<'_> {
    /// `grouping(key, …)`
    pub(super) fn grouping(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        let Some(calls) = self.calls.take() else {
            let (name, clause) = ("grouping".to_owned(), self.clause);
            return Err(SqlErrorKind::AggregateMisplaced { name, clause }.into());
        };
        let aliases_first = std::mem::replace(&mut self.aliases_first, false);
        let args = arguments(function).and_then(|args| args.into_iter().map(|arg| self.bind(arg)).collect());
        self.aliases_first = aliases_first;
        let result = args.and_then(|args: Vec<Typed>| {
            if !(1..=ARGUMENTS_MAX).contains(&args.len()) || function.filter.is_some() {
                return Err(SqlErrorKind::GroupingArguments { max: ARGUMENTS_MAX }.into());
            }
            let keys: Vec<Expr> = args.into_iter().map(|arg| arg.expr).collect();
            let known = calls.groupings.iter().position(|(known, _)| *known == keys);
            let at = known.unwrap_or_else(|| {
                calls.groupings.push((keys, heading::call(function, self.scope)));
                calls.groupings.len() - 1
            });
            Ok(Typed::new(Expr::Column(GROUPING_AT + at), DataType::Int64))
        });
        self.calls = Some(calls);
        result
    }
}

/// What is grouped, and by what.
pub(super) struct Grouping {
    /// The keys.
    pub(super) keys: Vec<Expr>,
    /// Sets of places of them; `None` for all in one.
    pub(super) sets: Option<Vec<Vec<usize>>>,
    /// The aggregates.
    pub(super) calls: Vec<AggregateCall>,
    /// Calls of `grouping`: the places of the keys of each, and its heading.
    pub(super) groupings: Vec<(Vec<usize>, String)>,
}

impl Grouping {
    /// Finds the keys that calls of `grouping` name. An error for one that names no key.
    pub(super) fn new(keys: Vec<Expr>, sets: Option<Vec<Vec<usize>>>, calls: &mut Calls) -> Result<Self, SqlError> {
        let place = |arg: &Expr| keys.iter().position(|key| key == arg);
        let found = std::mem::take(&mut calls.groupings).into_iter().map(|(args, heading)| {
            let places = args.iter().map(place).collect::<Option<Vec<_>>>();
            places.map(|places| (places, heading.clone())).ok_or(SqlErrorKind::GroupingKey(heading).into())
        });
        let groupings = found.collect::<Result<_, SqlError>>()?;
        Ok(Self { keys, sets, calls: std::mem::take(&mut calls.calls), groupings })
    }
}

impl Binder<'_> {
    /// The groups of `input`: keys, aggregates, calls of `grouping`. `schema` has the names of the former two.
    pub(super) fn grouped(&self, input: Plan, grouping: Grouping, schema: SchemaRef) -> Result<Plan, SqlError> {
        let Grouping { keys, sets, calls, groupings } = grouping;
        if sets.is_none() && groupings.is_empty() {
            return Ok(Plan::Aggregate { input: Box::new(input), group: keys, calls, schema });
        }
        let sets = sets.unwrap_or_else(|| vec![(0..keys.len()).collect()]);
        let own = schema.fields().iter().map(|field| (field.name().as_str(), field.data_type()));
        let of_groupings = groupings.iter().map(|(_, heading)| (heading.as_str(), &DataType::Int64));
        let whole = schema_of(own.clone().chain(of_groupings));
        let mut inputs = Vec::with_capacity(sets.len());
        let mut last = Some(input);
        for (number, set) in sets.iter().enumerate() {
            let rows = match (&last, number + 1 == sets.len()) {
                (Some(rows), false) => self.copied(rows)?,
                // Of the last set, which needs no copy.
                _ => last.take().ok_or_else(|| SqlError::unsupported("GROUPING SETS without a set"))?,
            };
            self.budget.take_nodes(whole.fields().len() + set.len() + calls.len())?;
            let is_kept = |at: usize| at >= keys.len() || set.contains(&at);
            let kept = schema_of(own.clone().enumerate().filter(|(at, _)| is_kept(*at)).map(|(_, field)| field));
            let places: Vec<usize> = (0..keys.len()).filter(|at| is_kept(*at)).collect();
            let groups = Plan::Aggregate {
                input: Box::new(rows),
                group: places.iter().map(|at| keys[*at].clone()).collect(),
                calls: calls.clone(),
                schema: kept,
            };
            let key = |at: usize| match places.iter().position(|place| *place == at) {
                Some(place) => Expr::Column(place),
                None => null(schema.field(at).data_type().clone()),
            };
            let bits = |args: &[usize]| args.iter().fold(0, |bits, at| bits << 1 | i64::from(!set.contains(at)));
            let exprs = (0..keys.len())
                .map(key)
                .chain((places.len()..places.len() + calls.len()).map(Expr::Column))
                .chain(groupings.iter().map(|(args, _)| Expr::Literal(Scalar::Int(bits(args)))))
                .collect();
            inputs.push(Plan::Project { input: Box::new(groups), exprs, schema: whole.clone() });
        }
        let plan = match <[Plan; 1]>::try_from(inputs) {
            Ok([only]) => only,
            Err(inputs) => Plan::Union { inputs, schema: whole },
        };
        self.check_operators(&plan)?;
        Ok(plan)
    }
}
