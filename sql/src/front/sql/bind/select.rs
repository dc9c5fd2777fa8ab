//! One SELECT with its ORDER BY and LIMIT to a plan.
//!
//! ```text
//! FROM → WHERE → (aggregate → HAVING) → windows → QUALIFY → DISTINCT ON → project [+ hidden sort keys] → DISTINCT
//! → ORDER BY → OFFSET/LIMIT → drop hidden
//! ```
//!
//! Names and aggregates of every clause are bound over the input first. In an aggregate query the bound expressions are
//! then moved over the groups: a part equal to a group key becomes that key, a call its result, and a column that is
//! left over is an error.

use std::borrow::Cow;
use std::cell::RefCell;

use sqlparser::ast::{self, LimitClause, OrderByKind, SelectItem, SelectItemQualifiedWildcardKind};

use super::binder::Binder;
use super::expr::{Calls, ExprBinder};
use super::gaps::Gaps;
use super::grouping::GroupBy;
use super::heading::heading;
use super::literal;
use super::outputs::{
    Bindings, Output, SortBy, SortKeySource, answered, filtered, finish, first_of_each, tied, windowed,
};
use super::relation::Relation;
use super::repair::repair_call;
use super::scope::{Scope, ScopeColumn};
use super::selection::selection;
use super::sort_order::sort_order;
use super::subqueries::{Subqueries, correlated};
use super::window_calls::Windows;
use crate::budget::Budget;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::boolean;
use crate::expr::{Expr, Scalar, Typed};
use crate::front::sql::parse::fold;
use crate::plan::Plan;

/// An item of the SELECT list, and its alias. A copy of one would recurse over it, as deep as it may be.
type Item<'e> = (Cow<'e, ast::Expr>, Option<String>);

impl Binder<'_> {
    /// Binds `select` over the rows of its FROM.
    pub(super) fn select(
        &self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        limit: Option<&LimitClause>,
    ) -> Result<Relation, SqlError> {
        refuse_unusual(select)?;
        // Tables in FROM see nothing of a query around this one.
        let Relation { plan: mut input, columns } = match self.outer {
            None => self.from(&select.from)?,
            Some(_) => Self { outer: None, ..self.clone() }.from(&select.from)?,
        };
        let has_from = !select.from.is_empty();
        let scope = Scope::new(columns);
        let mut ties = Vec::new();
        let mut is_tied_exists = false;
        let mut has_condition = false;
        if let Some(predicate) = &select.selection {
            let mut queries = Subqueries::default();
            let bound = ExprBinder { queries: Some(&mut queries), ..self.binder(&scope, "WHERE") }.bind(predicate)?;
            let mut predicate = Some(boolean(bound, "WHERE")?);
            if self.outer.is_some() {
                (ties, predicate) = predicate.map_or((Vec::new(), None), correlated);
            }
            if let Some(predicate) = predicate {
                has_condition = true;
                input = filtered(input, predicate, queries);
            }
        }
        if let Some(call) = repair_call(select) {
            if self.outer.is_some() && !ties.is_empty() {
                return Err(SqlError::unsupported("such a function in a subquery"));
            }
            return self.ordered(self.repair(call, select, (input, &scope))?, order_by, limit);
        }
        let mut calls = Calls { width: scope.columns.len(), ..Calls::default() };
        let gaps = RefCell::default();
        let mut bindings = self.bindings(select, order_by, &scope, has_from, (&mut calls, &gaps))?;
        let gaps = gaps.into_inner();
        let is_aggregate = !bindings.group.is_empty()
            || bindings.sets.is_some()
            || !(calls.calls.is_empty() && calls.groupings.is_empty() && gaps.is_empty())
            || select.having.is_some();
        if bindings.selected.is_some() && is_aggregate {
            return Err(SqlErrorKind::SelectionBeside("an aggregate").into());
        }
        if let Some(outer) = &self.outer {
            let exists = outer.exists && !is_aggregate;
            is_tied_exists = exists && !ties.is_empty();
            let is_cut = (limit.is_some() && !exists) || bindings.selected.is_some();
            *outer.correlation.borrow_mut() =
                tied(&mut bindings, ties, (&calls, input.schema()), (is_aggregate, is_cut, exists))?;
        }
        if is_aggregate {
            input = self.aggregate(input, &mut bindings, (calls, gaps, has_condition), &scope)?;
        }
        input = answered(input, &mut bindings);
        if let Some(predicate) = bindings.having.take() {
            input = Plan::Filter { input: Box::new(input), predicate };
        }
        if !bindings.windows.is_empty() {
            input = windowed(input, &mut bindings);
        }
        if let Some(predicate) = bindings.qualify.take() {
            input = Plan::Filter { input: Box::new(input), predicate };
        }
        let distinct = matches!(select.distinct, Some(ast::Distinct::Distinct));
        if let Some(on) = bindings.distinct_on.take() {
            input = first_of_each(input, &on, &bindings)?;
        }
        let (mut skip, mut fetch) = self.limits(limit)?;
        if is_tied_exists {
            // Whether there is a row does not depend on how many are asked for.
            if skip > 0 || fetch == Some(0) {
                return Err(SqlError::unsupported("such a LIMIT in EXISTS"));
            }
            (skip, fetch) = (0, None);
        }
        finish(input, bindings, distinct, skip, fetch)
    }

    /// The rows of `relation` under an ORDER BY, OFFSET and LIMIT that see its columns alone.
    pub(super) fn ordered(
        &self,
        relation: Relation,
        order_by: Option<&ast::OrderBy>,
        limit: Option<&LimitClause>,
    ) -> Result<Relation, SqlError> {
        let Relation { plan, columns } = relation;
        let output = |(at, column): (usize, &ScopeColumn)| Output {
            bound: Typed { window_ns: column.window_ns, ..Typed::new(Expr::Column(at), column.data_type.clone()) },
            name: column.name.clone(),
            words: column.name.clone(),
            has_alias: false,
        };
        let outputs: Vec<Output> = columns.iter().enumerate().map(output).collect();
        let scope = Scope::new(columns);
        let mut calls = Calls { width: scope.columns.len(), ..Calls::default() };
        let nothing = (&[][..], &[][..]);
        let gaps = RefCell::default();
        let sort = self.order_by(order_by, &scope, &outputs, nothing, (&mut calls, &gaps), (None, None))?;
        let words = calls.groupings.pop().map(|(_, words)| words).or(gaps.into_inner().words());
        if let Some(name) = calls.headings.pop().or(words) {
            return Err(SqlErrorKind::AggregateMisplaced { name, clause: "the ORDER BY of a UNION" }.into());
        }
        let (skip, fetch) = self.limits(limit)?;
        let bindings = Bindings {
            outputs,
            selected: None,
            group: Vec::new(),
            sets: None,
            distinct_on: None,
            having: None,
            qualify: None,
            sort,
            windows: Windows::default(),
            queries: Subqueries::default(),
        };
        finish(plan, bindings, false, skip, fetch)
    }

    pub(super) fn binder<'a>(&'a self, scope: &'a Scope, clause: &'static str) -> ExprBinder<'a> {
        ExprBinder {
            session: self.session,
            budget: self.budget,
            scope,
            aliases: &[],
            aliases_first: false,
            calls: None,
            gaps: None,
            windows: None,
            named_windows: &[],
            queries: None,
            binder: self,
            clause,
            depth: self.outer.map_or(0, |outer| outer.depth),
        }
    }

    fn bindings(
        &self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        scope: &Scope,
        has_from: bool,
        (calls, gaps): (&mut Calls, &RefCell<Gaps>),
    ) -> Result<Bindings, SqlError> {
        self.check_named_windows(&select.named_window)?;
        let named_windows = select.named_window.as_slice();
        let mut windows = Windows::default();
        let mut queries = Subqueries::default();
        let mut selected = None;
        let items = expand(select, scope, has_from, self.budget)?;
        let mut outputs = Vec::with_capacity(items.len());
        let mut aliases = Vec::new();
        for (expr, alias) in &items {
            let mut binder = ExprBinder {
                calls: Some(&mut *calls),
                gaps: Some(gaps),
                windows: Some(&mut windows),
                named_windows,
                queries: Some(&mut queries),
                ..self.binder(scope, "SELECT")
            };
            let expr = &**expr;
            let chosen = selection(expr, outputs.len())?;
            if selected.is_some() && chosen.is_some() {
                return Err(SqlErrorKind::SelectionBeside("another").into());
            }
            selected = selected.or(chosen.map(|(_, selection)| selection));
            let bound = binder.bind(chosen.map_or(expr, |(value, _)| value))?;
            let name = match (alias, expr) {
                (Some(alias), _) => alias.clone(),
                (None, ast::Expr::Identifier(ident)) => fold(ident),
                (None, ast::Expr::CompoundIdentifier(idents)) if is_column(&bound) => {
                    idents.last().map(fold).unwrap_or_default()
                }
                (None, expr) => heading(expr, scope),
            };
            let words = heading(expr, scope);
            if let Some(alias) = alias {
                aliases.push((alias.clone(), expr));
            }
            self.budget.take_columns([name.as_str(), words.as_str()].into_iter())?;
            outputs.push(Output { bound, name, words, has_alias: alias.is_some() });
        }
        unique_names(&outputs)?;
        let GroupBy { exprs, sets } = GroupBy::of(&select.group_by, |expr| counted_item(expr, &items))?;
        let mut group = Vec::new();
        let mut places = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let bound =
                ExprBinder { aliases: &aliases, gaps: Some(gaps), ..self.binder(scope, "GROUP BY") }.bind(expr)?;
            places.push(group.iter().position(|known| *known == bound.expr).unwrap_or_else(|| {
                group.push(bound.expr);
                group.len() - 1
            }));
        }
        let placed = |set: Vec<usize>| set.into_iter().map(|at| places[at]).collect();
        let sets = sets.map(|sets| sets.into_iter().map(placed).collect());
        let having = match &select.having {
            Some(predicate) => {
                let mut binder = ExprBinder {
                    calls: Some(&mut *calls),
                    gaps: Some(gaps),
                    aliases: &aliases,
                    aliases_first: true,
                    queries: Some(&mut queries),
                    ..self.binder(scope, "HAVING")
                };
                Some(boolean(binder.bind(predicate)?, "HAVING")?)
            }
            None => None,
        };
        let qualify = match &select.qualify {
            Some(predicate) => {
                let mut binder = ExprBinder {
                    calls: Some(&mut *calls),
                    gaps: Some(gaps),
                    windows: Some(&mut windows),
                    named_windows,
                    aliases: &aliases,
                    aliases_first: true,
                    queries: Some(&mut queries),
                    ..self.binder(scope, "QUALIFY")
                };
                Some(boolean(binder.bind(predicate)?, "QUALIFY")?)
            }
            None => None,
        };
        let names = (aliases.as_slice(), named_windows);
        let both = (Some(&mut windows), Some(&mut queries));
        let sort = self.order_by(order_by, scope, &outputs, names, (calls, gaps), both)?;
        let distinct_on = match &select.distinct {
            Some(ast::Distinct::On(on)) => {
                let both = (Some(&mut windows), Some(&mut queries));
                Some(self.keys(on.iter(), scope, &outputs, names, (calls, gaps), both, "DISTINCT ON")?)
            }
            _ => None,
        };
        Ok(Bindings { outputs, selected, group, sets, distinct_on, having, qualify, sort, windows, queries })
    }

    fn order_by(
        &self,
        order_by: Option<&ast::OrderBy>,
        scope: &Scope,
        outputs: &[Output],
        (aliases, named_windows): (&[(String, &ast::Expr)], &[ast::NamedWindowDefinition]),
        (calls, gaps): (&mut Calls, &RefCell<Gaps>),
        (windows, queries): (Option<&mut Windows>, Option<&mut Subqueries>),
    ) -> Result<Vec<SortKeySource>, SqlError> {
        let Some(order_by) = order_by else {
            return Ok(Vec::new());
        };
        let OrderByKind::Expressions(exprs) = &order_by.kind else {
            return Err(SqlError::unsupported("ORDER BY ALL"));
        };
        if order_by.interpolate.is_some() {
            return Err(SqlError::unsupported("INTERPOLATE"));
        }
        let orders = exprs.iter().map(sort_order).collect::<Result<Vec<_>, _>>()?;
        let named = (aliases, named_windows);
        let by = exprs.iter().map(|key| &key.expr);
        let by = self.keys(by, scope, outputs, named, (calls, gaps), (windows, queries), "ORDER BY")?;
        let key = |(by, (descending, nulls_first))| SortKeySource { by, descending, nulls_first };
        Ok(by.into_iter().zip(orders).map(key).collect())
    }

    /// What rows are ordered or told apart by: outputs by number, name or expression, or what is computed for it.
    #[expect(clippy::too_many_arguments, reason = "the scope of a clause behind the SELECT list")]
    fn keys<'e>(
        &self,
        exprs: impl Iterator<Item = &'e ast::Expr>,
        scope: &Scope,
        outputs: &[Output],
        (aliases, named_windows): (&[(String, &ast::Expr)], &[ast::NamedWindowDefinition]),
        (calls, gaps): (&mut Calls, &RefCell<Gaps>),
        (mut windows, mut queries): (Option<&mut Windows>, Option<&mut Subqueries>),
        clause: &'static str,
    ) -> Result<Vec<SortBy>, SqlError> {
        let mut keys = Vec::new();
        for expr in exprs {
            keys.push(if let Some(at) = ordinal(expr) {
                let found = at.checked_sub(1).filter(|at| *at < outputs.len());
                SortBy::Output(found.ok_or_else(|| {
                    let count = outputs.len();
                    SqlError::new(SqlErrorKind::SortPosition { at, count })
                })?)
            } else if let Some(at) = output_named(expr, outputs) {
                SortBy::Output(at)
            } else {
                let mut binder = ExprBinder {
                    calls: Some(&mut *calls),
                    gaps: Some(gaps),
                    windows: windows.as_deref_mut(),
                    named_windows,
                    aliases,
                    aliases_first: true,
                    queries: queries.as_deref_mut(),
                    ..self.binder(scope, clause)
                };
                let bound = binder.bind(expr)?;
                match outputs.iter().position(|output| output.bound.expr == bound.expr) {
                    Some(at) => SortBy::Output(at),
                    None => SortBy::Hidden(bound),
                }
            });
        }
        Ok(keys)
    }

    /// OFFSET and LIMIT, which are constants.
    fn limits(&self, clause: Option<&LimitClause>) -> Result<(usize, Option<usize>), SqlError> {
        let Some(LimitClause::LimitOffset { limit, offset, limit_by }) = clause else {
            return if clause.is_none() { Ok((0, None)) } else { Err(SqlError::unsupported("LIMIT with a comma")) };
        };
        if !limit_by.is_empty() {
            return Err(SqlError::unsupported("LIMIT BY"));
        }
        let scope = Scope::default();
        let constant = |expr: &ast::Expr, clause: &'static str| -> Result<Option<i64>, SqlError> {
            let unexpected = || SqlError::new(SqlErrorKind::LimitExpression { clause });
            let bound = self.binder(&scope, clause).bind(expr).map_err(|_| unexpected())?;
            match bound.constant() {
                Some(Scalar::Int(value)) => Ok(Some(value)),
                Some(Scalar::Null) => Ok(None),
                _ => Err(unexpected()),
            }
        };
        let skip = match offset {
            Some(offset) => match constant(&offset.value, "OFFSET")? {
                Some(value) => {
                    usize::try_from(value).map_err(|_| SqlError::new(SqlErrorKind::OffsetNegative(value)))?
                }
                None => 0,
            },
            None => 0,
        };
        let fetch = match limit {
            Some(limit) => match constant(limit, "LIMIT")? {
                Some(value) => Some(usize::try_from(value).map_err(|_| SqlError::new(SqlErrorKind::LimitNegative))?),
                None => None,
            },
            None => None,
        };
        Ok((skip, fetch))
    }
}

fn refuse_unusual(select: &ast::Select) -> Result<(), SqlError> {
    let unusual = [
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (select.exclude.is_some(), "EXCLUDE"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.value_table_mode.is_some(), "SELECT AS"),
        (select.select_modifiers.is_some(), "modifiers of SELECT"),
        (select.flavor != ast::SelectFlavor::Standard, "FROM before SELECT"),
    ];
    match unusual.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(SqlError::unsupported(what)),
        None => Ok(()),
    }
}

/// The ordinal that a bare integer is.
fn ordinal(expr: &ast::Expr) -> Option<usize> {
    match literal::constant(expr)? {
        Ok(Scalar::Int(value)) => Some(usize::try_from(value).unwrap_or(0)),
        _ => None,
    }
}

/// The expression that one of GROUP BY stands for: a number counts items.
fn counted_item<'e>(expr: &'e ast::Expr, items: &'e [Item<'e>]) -> Result<&'e ast::Expr, SqlError> {
    let Some(at) = ordinal(expr) else { return Ok(expr) };
    let item = at.checked_sub(1).and_then(|at| items.get(at));
    item.map(|(expr, _)| &**expr).ok_or_else(|| SqlError::new(SqlErrorKind::GroupPosition(at)))
}

fn is_column(bound: &Typed) -> bool {
    matches!(bound.expr, Expr::Column(_))
}

/// The output column that a plain name means in ORDER BY.
fn output_named(expr: &ast::Expr, outputs: &[Output]) -> Option<usize> {
    let ast::Expr::Identifier(ident) = expr else {
        return None;
    };
    let name = fold(ident);
    outputs.iter().position(|output| output.name == name)
}

/// The SELECT list with wildcards written out.
fn expand<'e>(
    select: &'e ast::Select,
    scope: &Scope,
    has_from: bool,
    budget: &Budget,
) -> Result<Vec<Item<'e>>, SqlError> {
    let as_written = |column: &ScopeColumn| {
        let ident = |name: &String| ast::Ident::with_quote('"', name.clone());
        let mut parts = Vec::new();
        if let Some(qualifier) = &column.qualifier {
            parts.extend(qualifier.database.as_ref().map(ident));
            parts.push(ident(&qualifier.table));
        }
        parts.push(ident(&column.name));
        match <[ast::Ident; 1]>::try_from(parts) {
            Ok([only]) => ast::Expr::Identifier(only),
            Err(parts) => ast::Expr::CompoundIdentifier(parts),
        }
    };
    let mut items = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::UnnamedExpr(expr) => items.push((Cow::Borrowed(expr), None)),
            SelectItem::ExprWithAlias { expr, alias } => items.push((Cow::Borrowed(expr), Some(fold(alias)))),
            SelectItem::Wildcard(options) => {
                plain_wildcard(options)?;
                if !has_from {
                    return Err(SqlErrorKind::StarWithoutFrom.into());
                }
                budget.take_columns(scope.columns.iter().map(|column| column.name.as_str()))?;
                let shown = scope.columns.iter().filter(|column| !column.is_merged);
                items.extend(shown.map(|column| (Cow::Owned(as_written(column)), None)));
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                plain_wildcard(options)?;
                let parts: Vec<_> = name.0.iter().filter_map(ast::ObjectNamePart::as_ident).map(fold).collect();
                let table = parts.join(".");
                let before = items.len();
                budget.take_columns(scope.columns.iter().map(|column| column.name.as_str()))?;
                let matching = scope.columns.iter().filter(|column| match (&column.qualifier, parts.as_slice()) {
                    (Some(q), [only]) => q.table == *only,
                    (Some(q), [database, only]) => {
                        q.table == *only && q.database.as_ref().is_none_or(|d| d == database)
                    }
                    _ => false,
                });
                items.extend(matching.map(|column| (Cow::Owned(as_written(column)), None)));
                if items.len() == before {
                    return Err(SqlErrorKind::Qualifier(table).into());
                }
            }
            other => return Err(SqlError::unsupported(format!("the SELECT item {other}"))),
        }
    }
    Ok(items)
}

fn plain_wildcard(options: &ast::WildcardAdditionalOptions) -> Result<(), SqlError> {
    let ast::WildcardAdditionalOptions {
        opt_ilike: None,
        opt_exclude: None,
        opt_except: None,
        opt_replace: None,
        opt_rename: None,
        opt_alias: None,
        ..
    } = options
    else {
        return Err(SqlError::unsupported("options of *"));
    };
    Ok(())
}

fn unique_names(outputs: &[Output]) -> Result<(), SqlError> {
    let mut seen = std::collections::HashMap::new();
    for (at, output) in outputs.iter().enumerate() {
        // Columns of one name from two places differ in their qualifier.
        let key = if is_column(&output.bound) && !output.has_alias { &output.words } else { &output.name };
        if let Some(first) = seen.insert(key, at) {
            let words = [outputs[first].full_words(), output.full_words()];
            return Err(SqlErrorKind::OutputTwice { words, at: [first, at] }.into());
        }
    }
    Ok(())
}
