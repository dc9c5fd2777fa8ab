//! FROM of several tables: rows of each beside those of the others.
//!
//! Of a condition, what makes a column of one side equal to one of the other becomes a key of the join, and what reads
//! one side alone is taken into it, by a rule (`push_filters`). USING and NATURAL make one column of two: of an inner
//! or left join that of the left, of a right join that of the right, of a full join the one that is not null. The
//! others are still there under their table's name.

use arrow_schema::DataType;
use sqlparser::ast::{self, JoinConstraint, JoinOperator, TableWithJoins};

use super::binder::Binder;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use crate::error::SqlError;
use crate::expr::coerce::{boolean, comparison, unify};
use crate::expr::conjunction;
use crate::expr::{BinaryOp, Expr, Typed};
use crate::front::sql::parse::{fold, position_of};
use crate::plan::{JoinKind, JoinOn, Plan};

/// Which of the rows that meet none come out, and whether the right side comes out at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pairs(JoinKind),
    /// Left rows that meet one.
    Semi,
    /// Left rows that meet none.
    Anti,
}

impl Binder<'_> {
    /// The rows of several tables.
    pub(super) fn tables(&self, from: &[TableWithJoins]) -> Result<Relation, SqlError> {
        let mut whole: Option<Relation> = None;
        for table in from {
            let next = self.joined_table(table)?;
            whole = Some(match whole {
                None => next,
                Some(left) => self.join(left, next, Way::Pairs(JoinKind::Inner), &JoinConstraint::None)?,
            });
        }
        whole.ok_or_else(|| SqlError::unsupported("FROM of no table"))
    }

    pub(super) fn joined_table(&self, table: &TableWithJoins) -> Result<Relation, SqlError> {
        let mut whole = self.table_factor(&table.relation)?;
        for ast::Join { relation, global, join_operator } in &table.joins {
            if *global {
                return Err(SqlError::unsupported("GLOBAL JOIN"));
            }
            let (way, constraint) = way_of(join_operator)?;
            let right = self.table_factor(relation)?;
            whole = match join_operator {
                JoinOperator::RightSemi(_) | JoinOperator::RightAnti(_) => self.join(right, whole, way, constraint)?,
                _ => self.join(whole, right, way, constraint)?,
            };
        }
        Ok(whole)
    }

    fn join(
        &self,
        left: Relation,
        right: Relation,
        way: Way,
        constraint: &JoinConstraint,
    ) -> Result<Relation, SqlError> {
        self.budget.take_columns(left.columns.iter().chain(&right.columns).map(|column| column.name.as_str()))?;
        let width = left.columns.len();
        let shared = match constraint {
            JoinConstraint::Using(names) => names.iter().map(using_name).collect::<Result<Vec<_>, _>>()?,
            JoinConstraint::Natural => shared_names(&left.columns, &right.columns),
            JoinConstraint::On(_) | JoinConstraint::None => Vec::new(),
        };
        let (left_scope, right_scope) = (Scope::new(left.columns), Scope::new(right.columns));
        let mut merged = Vec::with_capacity(shared.len());
        for name in shared {
            merged.push((place_of(&left_scope, &name)?, width + place_of(&right_scope, &name)?));
        }
        let columns: Vec<ScopeColumn> = left_scope.columns.into_iter().chain(right_scope.columns).collect();
        let scope = Scope::new(columns);
        let typed = |at: usize| Typed {
            expr: Expr::Column(at),
            data_type: scope.columns[at].data_type.clone(),
            window_ns: scope.columns[at].window_ns,
        };
        let mut conjuncts = Vec::with_capacity(merged.len());
        for (left, right) in &merged {
            conjuncts.push(comparison(BinaryOp::Eq, typed(*left), typed(*right))?);
        }
        if let JoinConstraint::On(condition) = constraint {
            conjuncts.push(boolean(self.binder(&scope, "ON").bind(condition)?, "ON")?);
        }
        let on = JoinOn { keys: Vec::new(), filter: conjunction::join(conjuncts) };
        let inputs = Box::new([left.plan, right.plan]);
        let kind = match way {
            Way::Pairs(kind) => kind,
            Way::Semi | Way::Anti => JoinKind::Mark { with_nulls: false },
        };
        let schema = kind.schema(inputs[0].schema(), inputs[1].schema());
        let plan = Plan::Join { inputs, kind, on, schema };
        self.check_operators(&plan)?;
        match way {
            Way::Pairs(kind) => {
                let values = merged.iter().map(|(left, right)| unify(vec![typed(*left), typed(*right)], "USING"));
                let values = values.collect::<Result<Vec<_>, _>>()?;
                Ok(merge(Relation { plan, columns: scope.columns }, &merged, values, kind))
            }
            Way::Semi | Way::Anti => Ok(of_left(plan, scope.columns, width, way == Way::Anti)),
        }
    }
}

fn way_of(operator: &JoinOperator) -> Result<(Way, &JoinConstraint), SqlError> {
    Ok(match operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => {
            (Way::Pairs(JoinKind::Inner), on)
        }
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Way::Pairs(JoinKind::Left), on),
        JoinOperator::Right(on) | JoinOperator::RightOuter(on) => (Way::Pairs(JoinKind::Right), on),
        JoinOperator::FullOuter(on) => (Way::Pairs(JoinKind::Full), on),
        JoinOperator::Semi(on) | JoinOperator::LeftSemi(on) | JoinOperator::RightSemi(on) => (Way::Semi, on),
        JoinOperator::Anti(on) | JoinOperator::LeftAnti(on) | JoinOperator::RightAnti(on) => (Way::Anti, on),
        _ => return Err(SqlError::unsupported("this kind of join")),
    })
}

/// The one name of a column of USING.
fn using_name(name: &ast::ObjectName) -> Result<ast::Ident, SqlError> {
    match name.0.as_slice() {
        [part] => part.as_ident().cloned(),
        _ => None,
    }
    .ok_or_else(|| SqlError::unsupported(format!("{name} in USING")))
}

/// The names that columns of both sides have, in the order of the left.
fn shared_names(left: &[ScopeColumn], right: &[ScopeColumn]) -> Vec<ast::Ident> {
    let of_right: std::collections::HashSet<&str> =
        right.iter().filter(|column| !column.is_merged).map(|column| column.name.as_str()).collect();
    let mut seen = std::collections::HashSet::new();
    let shared = left.iter().filter(|column| !column.is_merged && of_right.contains(column.name.as_str()));
    shared
        .filter(|column| seen.insert(column.name.as_str()))
        .map(|column| ast::Ident::with_quote('"', column.name.clone()))
        .collect()
}

fn place_of(scope: &Scope, name: &ast::Ident) -> Result<usize, SqlError> {
    let parts = [fold(name)];
    scope.find(&parts)?.ok_or_else(|| scope.no_field(&parts).at(position_of(name)))
}

/// Makes one column of each two that USING names: `values` are both in one type.
fn merge(
    mut relation: Relation,
    merged: &[(usize, usize)],
    values: Vec<(Vec<Expr>, DataType)>,
    kind: JoinKind,
) -> Relation {
    for (left, right) in merged {
        let hidden = match kind {
            JoinKind::Full => &[*left, *right][..],
            JoinKind::Right => &[*left][..],
            _ => &[*right][..],
        };
        for at in hidden {
            relation.columns[*at].is_merged = true;
        }
    }
    if kind != JoinKind::Full || merged.is_empty() {
        return relation;
    }
    let Relation { plan, columns } = relation;
    let own = |(at, column): (usize, &ScopeColumn)| (Expr::Column(at), column.clone());
    let both = merged.iter().zip(values).map(|((left, _), (exprs, data_type))| {
        (Expr::Coalesce(exprs), ScopeColumn::new(columns[*left].name.clone(), data_type))
    });
    let (exprs, columns): (Vec<_>, Vec<_>) = both.chain(columns.iter().enumerate().map(own)).unzip();
    let schema = schema_of(columns.iter().map(|column| (column.name.as_str(), &column.data_type)));
    Relation { plan: Plan::Project { input: Box::new(plan), exprs, schema }, columns }
}

/// The left columns of the rows whose mark, the column behind them, says so.
fn of_left(plan: Plan, mut columns: Vec<ScopeColumn>, width: usize, negated: bool) -> Relation {
    columns.truncate(width);
    let mark = Expr::Column(width);
    let predicate = if negated { Expr::Not(Box::new(mark)) } else { mark };
    let schema = schema_of(columns.iter().map(|column| (column.name.as_str(), &column.data_type)));
    let marked = Box::new(Plan::Filter { input: Box::new(plan), predicate });
    let exprs = (0..width).map(Expr::Column).collect();
    Relation { plan: Plan::Project { input: marked, exprs, schema }, columns }
}
