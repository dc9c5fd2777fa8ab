//! One SELECT with its ORDER BY and LIMIT to a plan.
//!
//! ```text
//! FROM → WHERE → (aggregate → HAVING) → project [+ hidden sort keys] → DISTINCT → ORDER BY → OFFSET/LIMIT → drop
//! hidden
//! ```
//!
//! Names and aggregates of every clause are bound over the input first. In an aggregate query the bound expressions are
//! then moved over the groups: a part equal to a group key becomes that key, a call its result, and a column that is
//! left over is an error.

use std::borrow::Cow;

use arrow_schema::DataType;
use sqlparser::ast::{self, GroupByExpr, LimitClause, OrderByKind, SelectItem, SelectItemQualifiedWildcardKind};

use super::binder::Binder;
use super::expr::{Calls, ExprBinder};
use super::heading::heading;
use super::literal;
use super::relation::{Relation, schema_of};
use super::scope::{Scope, ScopeColumn};
use crate::budget::Budget;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::boolean;
use crate::expr::{Expr, Scalar, Typed};
use crate::front::sql::parse::fold;
use crate::plan::{Plan, SortKey};

/// An output column.
struct Output {
    bound: Typed,
    name: String,
    /// The expression in words, without its alias.
    words: String,
    has_alias: bool,
}

impl Output {
    /// As DataFusion prints the expression with its alias.
    fn full_words(&self) -> String {
        if self.has_alias { format!("{} AS {}", self.words, self.name) } else { self.words.clone() }
    }
}

/// An item of the SELECT list, and its alias. A copy of one would recurse over it, as deep as it may be.
type Item<'e> = (Cow<'e, ast::Expr>, Option<String>);

/// Output columns and sort keys, while they are bound over the input.
struct Bindings {
    outputs: Vec<Output>,
    group: Vec<Expr>,
    having: Option<Expr>,
    sort: Vec<SortKeySource>,
}

enum SortBy {
    Output(usize),
    Hidden(Typed),
}

struct SortKeySource {
    by: SortBy,
    descending: bool,
    nulls_first: bool,
}

impl Binder<'_> {
    /// Binds `select` over the rows of its FROM.
    pub(super) fn select(
        &self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        limit: Option<&LimitClause>,
    ) -> Result<Relation, SqlError> {
        refuse_unusual(select)?;
        let Relation { plan: mut input, columns } = self.from(&select.from)?;
        let has_from = !select.from.is_empty();
        let scope = Scope::new(columns);
        if let Some(predicate) = &select.selection {
            let bound = self.binder(&scope, "WHERE").bind(predicate)?;
            let predicate = boolean(bound, "WHERE")?;
            input = Plan::Filter { input: Box::new(input), predicate };
        }
        let mut calls = Calls { width: scope.columns.len(), ..Calls::default() };
        let mut bindings = self.bindings(select, order_by, &scope, has_from, &mut calls)?;
        if !bindings.group.is_empty() || !calls.calls.is_empty() || select.having.is_some() {
            input = aggregate(input, &mut bindings, calls, &scope)?;
            if let Some(predicate) = bindings.having.take() {
                input = Plan::Filter { input: Box::new(input), predicate };
            }
        }
        let distinct = match &select.distinct {
            None | Some(ast::Distinct::All) => false,
            Some(ast::Distinct::Distinct) => true,
            Some(ast::Distinct::On(_)) => return Err(SqlError::unsupported("DISTINCT ON")),
        };
        let (skip, fetch) = self.limits(limit)?;
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
        let sort = self.order_by(order_by, &scope, &outputs, &[], &mut calls)?;
        if let Some(name) = calls.headings.pop() {
            return Err(SqlErrorKind::AggregateMisplaced { name, clause: "the ORDER BY of a UNION" }.into());
        }
        let (skip, fetch) = self.limits(limit)?;
        finish(plan, Bindings { outputs, group: Vec::new(), having: None, sort }, false, skip, fetch)
    }

    pub(super) fn binder<'a>(&'a self, scope: &'a Scope, clause: &'static str) -> ExprBinder<'a> {
        ExprBinder {
            session: self.session,
            budget: self.budget,
            scope,
            aliases: &[],
            aliases_first: false,
            calls: None,
            clause,
            depth: 0,
        }
    }

    fn bindings(
        &self,
        select: &ast::Select,
        order_by: Option<&ast::OrderBy>,
        scope: &Scope,
        has_from: bool,
        calls: &mut Calls,
    ) -> Result<Bindings, SqlError> {
        let items = expand(select, scope, has_from, self.budget)?;
        let mut outputs = Vec::with_capacity(items.len());
        let mut aliases = Vec::new();
        for (expr, alias) in &items {
            let bound = ExprBinder { calls: Some(calls), ..self.binder(scope, "SELECT") }.bind(expr)?;
            let expr = &**expr;
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
        let mut group = Vec::new();
        for expr in self.group_by(&select.group_by, &items)? {
            let bound = ExprBinder { aliases: &aliases, ..self.binder(scope, "GROUP BY") }.bind(expr)?;
            if !group.contains(&bound.expr) {
                group.push(bound.expr);
            }
        }
        let having = match &select.having {
            Some(predicate) => {
                let mut binder = ExprBinder {
                    calls: Some(calls),
                    aliases: &aliases,
                    aliases_first: true,
                    ..self.binder(scope, "HAVING")
                };
                Some(boolean(binder.bind(predicate)?, "HAVING")?)
            }
            None => None,
        };
        let sort = self.order_by(order_by, scope, &outputs, &aliases, calls)?;
        Ok(Bindings { outputs, group, having, sort })
    }

    /// The expressions of GROUP BY, ordinals replaced by what they count.
    fn group_by<'e>(&self, group_by: &'e GroupByExpr, items: &'e [Item<'e>]) -> Result<Vec<&'e ast::Expr>, SqlError> {
        let GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUP BY with modifiers"));
        }
        let resolved = exprs.iter().map(|expr| match ordinal(expr) {
            Some(at) => at
                .checked_sub(1)
                .and_then(|at| items.get(at))
                .map(|(expr, _)| &**expr)
                .ok_or_else(|| SqlError::new(SqlErrorKind::GroupPosition(at))),
            None => Ok(expr),
        });
        resolved.collect()
    }

    fn order_by(
        &self,
        order_by: Option<&ast::OrderBy>,
        scope: &Scope,
        outputs: &[Output],
        aliases: &[(String, &ast::Expr)],
        calls: &mut Calls,
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
        let mut keys = Vec::with_capacity(exprs.len());
        for ast::OrderByExpr { expr, options, with_fill } in exprs {
            if with_fill.is_some() {
                return Err(SqlError::unsupported("WITH FILL"));
            }
            let descending = match &options.sort {
                None | Some(ast::OrderBySort::Asc) => false,
                Some(ast::OrderBySort::Desc) => true,
                Some(_) => return Err(SqlError::unsupported("ORDER BY … USING")),
            };
            let by = if let Some(at) = ordinal(expr) {
                let found = at.checked_sub(1).filter(|at| *at < outputs.len());
                SortBy::Output(found.ok_or_else(|| {
                    let count = outputs.len();
                    SqlError::new(SqlErrorKind::SortPosition { at, count })
                })?)
            } else if let Some(at) = output_named(expr, outputs) {
                SortBy::Output(at)
            } else {
                let mut binder =
                    ExprBinder { calls: Some(calls), aliases, aliases_first: true, ..self.binder(scope, "ORDER BY") };
                let bound = binder.bind(expr)?;
                match outputs.iter().position(|output| output.bound.expr == bound.expr) {
                    Some(at) => SortBy::Output(at),
                    None => SortBy::Hidden(bound),
                }
            };
            keys.push(SortKeySource { by, descending, nulls_first: options.nulls_first.unwrap_or(descending) });
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
        (!select.named_window.is_empty(), "window functions"),
        (select.qualify.is_some(), "QUALIFY"),
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

/// Puts the Aggregate node in and moves the bindings over its output.
fn aggregate(input: Plan, bindings: &mut Bindings, calls: Calls, scope: &Scope) -> Result<Plan, SqlError> {
    let input_schema = input.schema().clone();
    let group = std::mem::take(&mut bindings.group);
    let group_names: Vec<String> = group
        .iter()
        .enumerate()
        .map(|(at, key)| match key {
            Expr::Column(column) => scope.columns[*column].flat_name(),
            _ => bindings
                .outputs
                .iter()
                .find(|output| output.bound.expr == *key)
                .map_or_else(|| format!("group {}", at + 1), |output| output.words.clone()),
        })
        .collect();
    let group_types: Vec<DataType> = group.iter().map(|key| key.data_type(&input_schema)).collect();
    let schema = schema_of(
        (group_names.iter().map(String::as_str).zip(&group_types))
            .chain(calls.headings.iter().map(String::as_str).zip(calls.calls.iter().map(|call| &call.data_type))),
    );
    let over_groups = |expr: &Expr| {
        regroup(expr, &group, calls.width).map_err(|column| {
            let column = scope.columns.get(column).map(ScopeColumn::flat_name).unwrap_or_default();
            let available = group_names.iter().chain(&calls.headings).cloned().collect();
            SqlError::new(SqlErrorKind::NotGrouped { column, available })
        })
    };
    for output in &mut bindings.outputs {
        output.bound.expr = over_groups(&output.bound.expr)?;
    }
    if let Some(having) = &mut bindings.having {
        *having = over_groups(having)?;
    }
    for key in &mut bindings.sort {
        if let SortBy::Hidden(bound) = &mut key.by {
            bound.expr = over_groups(&bound.expr)?;
        }
    }
    Ok(Plan::Aggregate { input: Box::new(input), group, calls: calls.calls, schema })
}

/// `expr` over the output of an Aggregate; the error is a column that is neither grouped nor aggregated.
fn regroup(expr: &Expr, group: &[Expr], width: usize) -> Result<Expr, usize> {
    if let Some(at) = group.iter().position(|key| key == expr) {
        return Ok(Expr::Column(at));
    }
    if let Expr::Column(column) = expr {
        return match column.checked_sub(width) {
            Some(call) => Ok(Expr::Column(group.len() + call)),
            None => Err(*column),
        };
    }
    let mut failed = None;
    let moved = expr.clone().map_children(|child| match regroup(&child, group, width) {
        Ok(moved) => moved,
        Err(column) => {
            failed.get_or_insert(column);
            child
        }
    });
    failed.map_or(Ok(moved), Err)
}

/// Everything above the rows: projection, DISTINCT, order, limits.
fn finish(
    input: Plan,
    bindings: Bindings,
    distinct: bool,
    skip: usize,
    fetch: Option<usize>,
) -> Result<Relation, SqlError> {
    let Bindings { outputs, sort, .. } = bindings;
    let width = outputs.len();
    let mut names: Vec<String> = outputs.iter().map(|output| output.name.clone()).collect();
    let mut columns: Vec<Typed> = outputs.into_iter().map(|output| output.bound).collect();
    let mut keys = Vec::with_capacity(sort.len());
    for key in sort {
        let at = match key.by {
            SortBy::Output(at) => at,
            SortBy::Hidden(_) if distinct => {
                return Err(SqlErrorKind::SortUnderDistinct.into());
            }
            SortBy::Hidden(bound) => {
                names.push(format!("sort key {}", keys.len() + 1));
                columns.push(bound);
                columns.len() - 1
            }
        };
        keys.push(SortKey { expr: Expr::Column(at), descending: key.descending, nulls_first: key.nulls_first });
    }
    let scope_columns: Vec<ScopeColumn> = names
        .iter()
        .zip(&columns)
        .take(width)
        .map(|(name, bound)| ScopeColumn {
            qualifier: None,
            name: name.clone(),
            data_type: bound.data_type.clone(),
            window_ns: bound.window_ns,
            is_merged: false,
        })
        .collect();
    let schema = schema_of(names.iter().map(String::as_str).zip(columns.iter().map(|bound| &bound.data_type)));
    let visible = schema_of(scope_columns.iter().map(|column| (column.name.as_str(), &column.data_type)));
    let exprs: Vec<Expr> = columns.into_iter().map(|bound| bound.expr).collect();
    let has_hidden = exprs.len() > width;
    let mut plan = Plan::Project { input: Box::new(input), exprs, schema };
    if distinct {
        plan = Plan::Distinct { input: Box::new(plan) };
    }
    if !keys.is_empty() {
        plan = Plan::Sort { input: Box::new(plan), keys, fetch: None };
    }
    if skip > 0 || fetch.is_some() {
        plan = Plan::Limit { input: Box::new(plan), skip, fetch };
    }
    if has_hidden {
        plan = Plan::Project { input: Box::new(plan), exprs: (0..width).map(Expr::Column).collect(), schema: visible };
    }
    Ok(Relation { plan, columns: scope_columns })
}
