//! Syntax to bound expressions: names become positions, operands get one type, aggregates are set aside.

use std::cell::RefCell;
use std::sync::Arc;

use arrow_schema::DataType;
use sqlparser::ast::{self, BinaryOperator, UnaryOperator};

use super::binder::Binder;
use super::gaps::Gaps;
use super::literal;
use super::scope::Scope;
use super::subqueries::Subqueries;
use super::window_calls::Windows;
use crate::budget::Budget;
use crate::error::{Position, SqlError, SqlErrorKind};
use crate::expr::coerce::{arithmetic, boolean, comparable, comparison, convert, no_window, unify};
use crate::expr::conjunction::balanced;
use crate::expr::constant::null;
use crate::expr::extent::Extent;
use crate::expr::pattern::Pattern;
use crate::expr::{AggregateCall, BinaryOp, Expr, Scalar, Typed};
use crate::front::sql::parse::{fold, position_at, position_of};
use crate::function::bucket::window_member;
use crate::function::session::variable;
use crate::function::time::part_of_time;
use crate::session::Session;

/// Levels of a bound expression. Every pass recurses over it, the executor too; chains of AND and OR do not count, they
/// are built as balanced trees.
const DEPTH_MAX: usize = 128;

/// Aggregates met so far. While binding, call `i` is column `width + i` of the scope.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) width: usize,
    pub(super) calls: Vec<AggregateCall>,
    pub(super) headings: Vec<String>,
    /// Calls of `grouping`: what is asked about, and the call in words.
    pub(super) groupings: Vec<(Vec<Expr>, String)>,
}

/// Binds expressions over one scope.
pub(super) struct ExprBinder<'a> {
    pub(super) session: &'a Session,
    /// What binding may take: a node for each that is bound, and those that are copied.
    pub(super) budget: &'a Budget,
    pub(super) scope: &'a Scope,
    /// Names of output columns with what they stand for, for names that no input column has.
    pub(super) aliases: &'a [(String, &'a ast::Expr)],
    /// Aliases come before input columns (HAVING, ORDER BY).
    pub(super) aliases_first: bool,
    /// Where aggregates go; `None` where they are not allowed.
    pub(super) calls: Option<&'a mut Calls>,
    /// Where what fills gaps goes; `None` where it is not allowed.
    pub(super) gaps: Option<&'a RefCell<Gaps>>,
    /// Where calls over windows go; `None` where they are not allowed.
    pub(super) windows: Option<&'a mut Windows>,
    /// Windows that have a name.
    pub(super) named_windows: &'a [ast::NamedWindowDefinition],
    /// Where queries go; `None` where they are not allowed.
    pub(super) queries: Option<&'a mut Subqueries>,
    /// What binds them.
    pub(super) binder: &'a Binder<'a>,
    /// Where we are, for messages.
    pub(super) clause: &'static str,
    pub(super) depth: usize,
}

fn operator(op: &BinaryOperator) -> Option<BinaryOp> {
    Some(match op {
        BinaryOperator::Eq => BinaryOp::Eq,
        BinaryOperator::NotEq => BinaryOp::NotEq,
        BinaryOperator::Lt => BinaryOp::Lt,
        BinaryOperator::LtEq => BinaryOp::LtEq,
        BinaryOperator::Gt => BinaryOp::Gt,
        BinaryOperator::GtEq => BinaryOp::GtEq,
        BinaryOperator::And => BinaryOp::And,
        BinaryOperator::Or => BinaryOp::Or,
        BinaryOperator::Plus => BinaryOp::Plus,
        BinaryOperator::Minus => BinaryOp::Minus,
        BinaryOperator::Multiply => BinaryOp::Multiply,
        BinaryOperator::Divide => BinaryOp::Divide,
        BinaryOperator::Modulo => BinaryOp::Modulo,
        BinaryOperator::StringConcat => BinaryOp::Concat,
        _ => return None,
    })
}

/// Whether an operator that takes a regular expression is negated, and whether it ignores case.
fn regex_operator(op: &BinaryOperator) -> Option<(bool, bool)> {
    Some(match op {
        BinaryOperator::PGRegexMatch => (false, false),
        BinaryOperator::PGRegexNotMatch => (true, false),
        BinaryOperator::PGRegexIMatch => (false, true),
        BinaryOperator::PGRegexNotIMatch => (true, true),
        _ => return None,
    })
}

impl ExprBinder<'_> {
    /// Binds `expr`.
    pub(super) fn bind(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        self.budget.take_nodes(1)?;
        self.deeper(1, |binder| binder.dispatch(expr)).map_err(|error| match (&*error.kind, error.position) {
            (SqlErrorKind::ExpressionTooDeep { .. }, None) => error.at(start_of(expr)),
            _ => error,
        })
    }

    /// Before `count` copies of `bound` are made.
    pub(super) fn copies(&self, bound: &Typed, count: usize) -> Result<(), SqlError> {
        self.budget.take_nodes(Extent::of(&bound.expr).nodes.saturating_mul(count))
    }

    fn deeper<T>(&mut self, levels: usize, bind: impl FnOnce(&mut Self) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.depth += levels;
        let result = if self.depth > DEPTH_MAX {
            Err(SqlErrorKind::ExpressionTooDeep { levels_max: DEPTH_MAX }.into())
        } else {
            bind(self)
        };
        self.depth -= levels;
        result
    }

    fn dispatch(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        if let Some(value) = literal::constant(expr) {
            return value.map(Typed::literal);
        }
        match expr {
            ast::Expr::Identifier(ident) => self.name(std::slice::from_ref(ident)),
            ast::Expr::CompoundIdentifier(idents) => self.name(idents),
            ast::Expr::CompoundFieldAccess { root, access_chain } => self.field_access(root, access_chain),
            ast::Expr::Nested(inner) => self.bind(inner),
            ast::Expr::BinaryOp { left, op, right } => match (regex_operator(op), Self::bitwise(op)) {
                (Some((negated, case_insensitive)), _) => self.matches(left, right, negated, case_insensitive),
                (None, Some(function)) => self.bits(left, op, function, right),
                (None, None) => self.binary(left, op, right),
            },
            ast::Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            ast::Expr::IsNull(_)
            | ast::Expr::IsNotNull(_)
            | ast::Expr::IsTrue(_)
            | ast::Expr::IsNotTrue(_)
            | ast::Expr::IsFalse(_)
            | ast::Expr::IsNotFalse(_)
            | ast::Expr::IsUnknown(_)
            | ast::Expr::IsNotUnknown(_) => self.is_what(expr),
            ast::Expr::IsDistinctFrom(a, b) => self.not_distinct(a, b).map(|e| truth(Expr::Not(Box::new(e)))),
            ast::Expr::IsNotDistinctFrom(a, b) => self.not_distinct(a, b).map(truth),
            ast::Expr::Between { expr, negated, low, high } => self.between(expr, low, high, *negated),
            ast::Expr::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            ast::Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, false)
            }
            ast::Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, true)
            }
            ast::Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            ast::Expr::Cast { kind, expr, data_type, format: None } => self.cast(kind, expr, data_type),
            ast::Expr::Extract { field, expr, .. } => {
                let time = self.bind(expr)?;
                part_of_time(&field.to_string(), time)
            }
            ast::Expr::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                let arg = self.bind(expr)?;
                self.scalar("ceil", vec![arg])
            }
            ast::Expr::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                let arg = self.bind(expr)?;
                self.scalar("floor", vec![arg])
            }
            ast::Expr::Trim { .. } | ast::Expr::Substring { .. } | ast::Expr::Position { .. } => self.spelled(expr),
            ast::Expr::Function(function) => self.function(function),
            ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. } => self.subquery(expr),
            ast::Expr::GroupingSets(_) | ast::Expr::Cube(_) | ast::Expr::Rollup(_) => {
                Err(SqlError::unsupported("GROUPING SETS, CUBE and ROLLUP"))
            }
            other => Err(SqlError::unsupported(format!("the expression {other}"))),
        }
    }

    fn name(&mut self, idents: &[ast::Ident]) -> Result<Typed, SqlError> {
        let parts: Vec<String> = idents.iter().map(fold).collect();
        if self.aliases_first
            && let Some(bound) = self.alias(&parts)
        {
            return bound;
        }
        if let Some(at) = self.scope.find(&parts)? {
            return Ok(self.column(at));
        }
        if let Some(bound) = self.alias(&parts) {
            return bound;
        }
        if let Some(bound) = self.outer_column(&parts)? {
            return Ok(bound);
        }
        // `window.start`, `table.window.start`
        if let [rest @ .., member] = parts.as_slice()
            && let Some(at) = self.scope.find(rest)?
        {
            return window_member(self.column(at), member);
        }
        // A variable or function without brackets, as the standard has it.
        if let [name] = parts.as_slice()
            && matches!(name.as_str(), "current_user" | "current_timestamp")
            && idents.iter().all(|ident| ident.quote_style.is_none())
        {
            let name = if name == "current_timestamp" { "now" } else { name };
            return self.scalar(name, Vec::new());
        }
        if let [name] = parts.as_slice()
            && let Some(value) = variable(name)
        {
            return Ok(Typed::literal(value));
        }
        let error = self.scope.no_field(&parts);
        Err(error.at(idents.first().and_then(position_of)))
    }

    fn column(&self, at: usize) -> Typed {
        let column = &self.scope.columns[at];
        Typed { expr: Expr::Column(at), data_type: column.data_type.clone(), window_ns: column.window_ns }
    }

    /// What the alias stands for. Inside it, names are those of the input.
    fn alias(&mut self, parts: &[String]) -> Option<Result<Typed, SqlError>> {
        let [name] = parts else {
            return None;
        };
        let (_, expr) = self.aliases.iter().find(|(alias, _)| alias == name)?;
        let aliases = std::mem::take(&mut self.aliases);
        let bound = self.bind(expr);
        self.aliases = aliases;
        Some(bound)
    }

    fn field_access(&mut self, root: &ast::Expr, chain: &[ast::AccessExpr]) -> Result<Typed, SqlError> {
        let [access] = chain else {
            return Err(SqlError::unsupported("access into nested values"));
        };
        let member = match access {
            ast::AccessExpr::Dot(ast::Expr::Identifier(ident)) => fold(ident),
            ast::AccessExpr::Subscript(ast::Subscript::Index { index: ast::Expr::Value(value) }) => {
                value.value.clone().into_string().unwrap_or_default()
            }
            other => return Err(SqlError::unsupported(format!("the access {other}"))),
        };
        let root = self.bind(root)?;
        window_member(root, &member)
    }

    fn binary(&mut self, left: &ast::Expr, op: &BinaryOperator, right: &ast::Expr) -> Result<Typed, SqlError> {
        let known =
            |op: &BinaryOperator| operator(op).ok_or_else(|| SqlError::unsupported(format!("the operator {op}")));
        let bound_op = known(op)?;
        // Walk down the left spine, which may be long, without recursion.
        let mut spine = vec![(bound_op, right)];
        let mut leftmost = left;
        let logical = matches!(bound_op, BinaryOp::And | BinaryOp::Or);
        while let ast::Expr::BinaryOp { left, op, right } = leftmost {
            if regex_operator(op).is_some() || Self::bitwise(op).is_some() {
                break;
            }
            let op = known(op)?;
            let same_kind = if logical { op == bound_op } else { !matches!(op, BinaryOp::And | BinaryOp::Or) };
            if !same_kind {
                break;
            }
            spine.push((op, right.as_ref()));
            leftmost = left;
        }
        if logical {
            let what = if bound_op == BinaryOp::And { "AND" } else { "OR" };
            let mut operands = vec![boolean(self.bind(leftmost)?, what)?];
            for (_, operand) in spine.iter().rev() {
                operands.push(boolean(self.bind(operand)?, what)?);
            }
            return Ok(truth(balanced(bound_op, operands).unwrap_or_else(|| null(DataType::Boolean))));
        }
        self.deeper(spine.len() - 1, |binder| {
            let mut bound = binder.bind(leftmost)?;
            for (op, operand) in spine.iter().rev() {
                let operand = binder.bind(operand)?;
                bound = combine(*op, bound, operand)?;
            }
            Ok(bound)
        })
    }

    fn unary(&mut self, op: UnaryOperator, expr: &ast::Expr) -> Result<Typed, SqlError> {
        let operand = self.bind(expr)?;
        no_window(&operand)?;
        match op {
            UnaryOperator::Not => Ok(truth(Expr::Not(Box::new(boolean(operand, "NOT")?)))),
            UnaryOperator::Plus => Ok(operand),
            UnaryOperator::Minus => match operand.data_type {
                DataType::Int64 | DataType::Float64 | DataType::Interval(_) => {
                    Ok(Typed::new(Expr::Negative(Box::new(operand.expr)), operand.data_type))
                }
                DataType::UInt64 => {
                    Ok(Typed::new(Expr::Negative(Box::new(convert(operand, &DataType::Int64)?)), DataType::Int64))
                }
                other => Err(SqlErrorKind::Negation(other).into()),
            },
            other => Err(SqlError::unsupported(format!("the operator {other}"))),
        }
    }

    fn is_what(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        // Null counts as the opposite of what is asked for.
        let known = |binder: &mut Self, operand: &ast::Expr, if_null: bool| -> Result<Expr, SqlError> {
            let operand = boolean(binder.bind(operand)?, "IS TRUE")?;
            Ok(Expr::Coalesce(vec![operand, Expr::Literal(Scalar::Bool(if_null))]))
        };
        let not = |expr: Expr| Expr::Not(Box::new(expr));
        let expr = match expr {
            ast::Expr::IsNull(e) => Expr::IsNull(Box::new(self.bind(e)?.expr)),
            ast::Expr::IsNotNull(e) => Expr::IsNotNull(Box::new(self.bind(e)?.expr)),
            ast::Expr::IsTrue(e) => known(self, e, false)?,
            ast::Expr::IsNotTrue(e) => not(known(self, e, false)?),
            ast::Expr::IsFalse(e) => not(known(self, e, true)?),
            ast::Expr::IsNotFalse(e) => known(self, e, true)?,
            ast::Expr::IsUnknown(e) => Expr::IsNull(Box::new(boolean(self.bind(e)?, "IS UNKNOWN")?)),
            ast::Expr::IsNotUnknown(e) => Expr::IsNotNull(Box::new(boolean(self.bind(e)?, "IS UNKNOWN")?)),
            other => return Err(SqlError::unsupported(format!("the expression {other}"))),
        };
        Ok(truth(expr))
    }

    /// `a IS NOT DISTINCT FROM b`: equal, or both null. Where `a = b` is null, one of them is.
    fn not_distinct(&mut self, a: &ast::Expr, b: &ast::Expr) -> Result<Expr, SqlError> {
        let (a, b) = (self.bind(a)?, self.bind(b)?);
        self.copies(&a, 1)?;
        self.copies(&b, 1)?;
        let is_null = |bound: &Typed| Expr::IsNull(Box::new(bound.expr.clone()));
        let both_null = Expr::binary(is_null(&a), BinaryOp::And, is_null(&b));
        Ok(Expr::Coalesce(vec![comparison(BinaryOp::Eq, a, b)?, both_null]))
    }

    fn between(
        &mut self,
        expr: &ast::Expr,
        low: &ast::Expr,
        high: &ast::Expr,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let expr = self.bind(expr)?;
        let (low, high) = (self.bind(low)?, self.bind(high)?);
        self.copies(&expr, 1)?;
        let above = comparison(BinaryOp::GtEq, expr.clone(), low)?;
        let below = comparison(BinaryOp::LtEq, expr, high)?;
        let within = Expr::binary(above, BinaryOp::And, below);
        Ok(truth(if negated { Expr::Not(Box::new(within)) } else { within }))
    }

    fn in_list(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed, SqlError> {
        let expr = self.bind(expr)?;
        no_window(&expr)?;
        let list = list.iter().map(|item| self.bind(item)).collect::<Result<Vec<_>, _>>()?;
        self.copies(&expr, 1)?;
        // One type for all: that of the comparison with the element that asks for the widest.
        let mut wide = Typed::new(expr.expr.clone(), expr.data_type.clone());
        let mut uniform = !matches!(expr.data_type, DataType::Timestamp(..));
        for item in &list {
            match comparable(&wide, item) {
                Some(data_type) if data_type == wide.data_type => {}
                Some(data_type) if wide.data_type == DataType::Int64 && data_type == DataType::Float64 => {
                    wide.data_type = data_type;
                }
                _ => uniform = false,
            }
        }
        if uniform {
            let target = wide.data_type;
            let list = list.into_iter().map(|item| convert(item, &target)).collect::<Result<Vec<_>, _>>()?;
            let expr = Box::new(convert(expr, &target)?);
            return Ok(truth(Expr::InList { expr, list, negated }));
        }
        self.copies(&expr, list.len())?;
        let equal =
            list.into_iter().map(|item| comparison(BinaryOp::Eq, expr.clone(), item)).collect::<Result<Vec<_>, _>>()?;
        let any = balanced(BinaryOp::Or, equal).unwrap_or(Expr::Literal(Scalar::Bool(false)));
        Ok(truth(if negated { Expr::Not(Box::new(any)) } else { any }))
    }

    /// Both operands, which must be text or null; `refusal` is the error otherwise, from their types.
    fn bind_texts(
        &mut self,
        left: &ast::Expr,
        right: &ast::Expr,
        refusal: fn(DataType, DataType) -> SqlErrorKind,
    ) -> Result<(Typed, Typed), SqlError> {
        let (left, right) = (self.bind(left)?, self.bind(right)?);
        let is_text = |bound: &Typed| matches!(bound.data_type, DataType::Utf8 | DataType::Null);
        match is_text(&left) && is_text(&right) {
            true => Ok((left, right)),
            false => Err(refusal(left.data_type, right.data_type).into()),
        }
    }

    fn like(
        &mut self,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        negated: bool,
        case_insensitive: bool,
    ) -> Result<Typed, SqlError> {
        let (expr, pattern) = self.bind_texts(expr, pattern, SqlErrorKind::Like)?;
        let text = |bound| convert(bound, &DataType::Utf8).map(Box::new);
        Ok(truth(Expr::Like { expr: text(expr)?, pattern: text(pattern)?, negated, case_insensitive }))
    }

    fn matches(
        &mut self,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        negated: bool,
        case_insensitive: bool,
    ) -> Result<Typed, SqlError> {
        let (bound, pattern_bound) = self.bind_texts(expr, pattern, SqlErrorKind::Matches)?;
        let text = match pattern_bound.constant() {
            Some(Scalar::Str(text)) => text,
            Some(Scalar::Null) => return Ok(truth(null(DataType::Boolean))),
            _ => {
                return Err(SqlError::unsupported(format!("a regular expression that is not constant: {pattern}")));
            }
        };
        let pattern = Pattern::new(&text, case_insensitive)
            .map_err(|reason| SqlErrorKind::Pattern { text: text.to_string(), reason })?;
        self.budget.take_kept(pattern.bytes())?;
        let expr = Box::new(convert(bound, &DataType::Utf8)?);
        Ok(truth(Expr::Matches { expr, pattern: Arc::new(pattern), negated }))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed, SqlError> {
        let operand = operand.map(|operand| self.bind(operand)).transpose()?;
        if let Some(operand) = &operand {
            self.copies(operand, conditions.len())?;
        }
        let mut tests = Vec::with_capacity(conditions.len());
        let mut values = Vec::with_capacity(conditions.len() + 1);
        for ast::CaseWhen { condition, result } in conditions {
            let condition = self.bind(condition)?;
            tests.push(match &operand {
                Some(operand) => comparison(BinaryOp::Eq, operand.clone(), condition)?,
                None => boolean(condition, "WHEN")?,
            });
            values.push(self.bind(result)?);
        }
        let has_otherwise = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            values.push(self.bind(otherwise)?);
        }
        let (mut values, data_type) = unify(values, "CASE")?;
        let otherwise = if has_otherwise { values.pop().map(Box::new) } else { None };
        let branches = tests.into_iter().zip(values).collect();
        Ok(Typed::new(Expr::Case { branches, otherwise }, data_type))
    }
}

/// About where an expression begins. As deep as it may be, sqlparser's own answer would not do: it recurses.
fn start_of(expr: &ast::Expr) -> Option<Position> {
    let mut at = expr;
    loop {
        at = match at {
            ast::Expr::Identifier(ident) => return position_of(ident),
            ast::Expr::CompoundIdentifier(idents) => return idents.first().and_then(position_of),
            ast::Expr::Value(value) => return position_at(value.span.start),
            ast::Expr::Function(function) => {
                return function.name.0.first().and_then(ast::ObjectNamePart::as_ident).and_then(position_of);
            }
            ast::Expr::Case { case_token, .. } => return position_at(case_token.0.span.start),
            ast::Expr::BinaryOp { left: first, .. }
            | ast::Expr::Nested(first)
            | ast::Expr::UnaryOp { expr: first, .. }
            | ast::Expr::IsNull(first)
            | ast::Expr::IsNotNull(first)
            | ast::Expr::IsTrue(first)
            | ast::Expr::IsNotTrue(first)
            | ast::Expr::IsFalse(first)
            | ast::Expr::IsNotFalse(first)
            | ast::Expr::IsUnknown(first)
            | ast::Expr::IsNotUnknown(first)
            | ast::Expr::IsDistinctFrom(first, _)
            | ast::Expr::IsNotDistinctFrom(first, _)
            | ast::Expr::Between { expr: first, .. }
            | ast::Expr::InList { expr: first, .. }
            | ast::Expr::Like { expr: first, .. }
            | ast::Expr::ILike { expr: first, .. }
            | ast::Expr::Extract { expr: first, .. }
            | ast::Expr::Cast { expr: first, .. } => first,
            _ => return None,
        };
    }
}

fn truth(expr: Expr) -> Typed {
    Typed::new(expr, DataType::Boolean)
}

/// One operator that is neither AND nor OR.
fn combine(op: BinaryOp, left: Typed, right: Typed) -> Result<Typed, SqlError> {
    match op {
        BinaryOp::Plus | BinaryOp::Minus | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo => {
            arithmetic(op, left, right)
        }
        BinaryOp::Concat => {
            no_window(&left)?;
            no_window(&right)?;
            let expr = Expr::binary(convert(left, &DataType::Utf8)?, op, convert(right, &DataType::Utf8)?);
            Ok(Typed::new(expr, DataType::Utf8))
        }
        _ => comparison(op, left, right).map(truth),
    }
}
