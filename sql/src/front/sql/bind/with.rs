//! WITH: queries that have a name. Each use of the name is a copy of the query, so that rules can do with it what they
//! do with a query in FROM; copies are counted before they are made, since names that use names twice double at every
//! step.

use std::rc::Rc;

use sqlparser::ast;

use super::binder::Binder;
use super::relation::Relation;
use super::scope::{Qualifier, ScopeColumn};
use crate::error::{SqlError, SqlErrorKind};
use crate::front::sql::parse::{fold, position_of};
use crate::plan::Plan;
use crate::plan::extent::{OPERATORS_MAX, PlanExtent};

/// Names that a WITH may bring. Each query in it has a list of those before it.
const NAMES_MAX: usize = 256;

/// Operators that uses of names may come to in one statement.
const OPERATORS_COPIED_MAX: usize = 16_384;

impl Binder<'_> {
    /// What binds a query behind this WITH.
    pub(super) fn with(&self, with: &ast::With) -> Result<Self, SqlError> {
        if with.recursive {
            return Err(SqlError::unsupported("WITH RECURSIVE"));
        }
        // What has a name stands alone.
        let mut inner = Self { outer: None, ..self.clone() };
        let before = inner.named.known.len();
        for ast::Cte { alias, query, from, .. } in &with.cte_tables {
            if from.is_some() {
                return Err(SqlError::unsupported("FROM in WITH"));
            }
            let name = fold(&alias.name);
            if inner.named.known.iter().skip(before).any(|known| known.0 == name) {
                return Err(SqlError::new(SqlErrorKind::NameTwice(name)).at(position_of(&alias.name)));
            }
            if inner.named.known.len() >= NAMES_MAX {
                return Err(SqlErrorKind::TooMany { what: "names in WITH", max: NAMES_MAX }.into());
            }
            let mut relation = inner.query(query)?;
            renamed(&mut relation, alias)?;
            self.check_operators(&relation.plan)?;
            inner.named.known.push(Rc::new((name, relation)));
        }
        Ok(Self { outer: self.outer, ..inner })
    }

    /// The rows of the query that `name` means, if it is the name of one.
    pub(super) fn named_query(&self, name: &ast::ObjectName) -> Option<Result<Relation, SqlError>> {
        if self.named.known.is_empty() {
            return None;
        }
        let [part] = name.0.as_slice() else { return None };
        let name = fold(part.as_ident()?);
        let known = self.named.known.iter().rev().find(|known| known.0 == name)?;
        let Relation { plan, columns } = &known.1;
        Some(self.copied(plan).map(|plan| {
            let qualifier = Qualifier { database: None, table: name };
            let qualified = |column: &ScopeColumn| ScopeColumn { qualifier: Some(qualifier.clone()), ..column.clone() };
            Relation { plan, columns: columns.iter().map(qualified).collect() }
        }))
    }

    /// A copy of a plan, counted.
    pub(super) fn copied(&self, plan: &Plan) -> Result<Plan, SqlError> {
        let extent = PlanExtent::of(plan);
        let copied = self.named.copied.get().saturating_add(extent.all_operators);
        if copied > OPERATORS_COPIED_MAX {
            let what = "operators of queries that are used more than once";
            return Err(SqlErrorKind::TooMany { what, max: OPERATORS_COPIED_MAX }.into());
        }
        self.named.copied.set(copied);
        self.budget.take_nodes(extent.exprs.nodes)?;
        self.budget.take_columns(std::iter::repeat_n("", extent.columns))?;
        Ok(plan.clone())
    }

    /// Refuses a plan that is too deep for those that stand on it.
    pub(super) fn check_operators(&self, plan: &Plan) -> Result<(), SqlError> {
        match PlanExtent::of(plan).operators {
            operators if operators > OPERATORS_MAX => {
                Err(SqlErrorKind::ExpressionTooDeep { levels_max: OPERATORS_MAX }.into())
            }
            _ => Ok(()),
        }
    }
}

/// Gives the columns of a relation the names that an alias lists, if it does.
pub(super) fn renamed(relation: &mut Relation, alias: &ast::TableAlias) -> Result<(), SqlError> {
    if alias.columns.is_empty() {
        return Ok(());
    }
    let (names, columns) = (alias.columns.len(), relation.columns.len());
    if names > columns {
        return Err(SqlErrorKind::AliasWidth { table: fold(&alias.name), names, columns }.into());
    }
    for (column, name) in relation.columns.iter_mut().zip(&alias.columns) {
        if name.data_type.is_some() {
            return Err(SqlError::unsupported("types of columns in FROM"));
        }
        column.name = fold(&name.name);
    }
    Ok(())
}
