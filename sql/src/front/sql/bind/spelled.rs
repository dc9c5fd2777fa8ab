//! Calls with a syntax of their own: TRIM, SUBSTRING and POSITION, whose arguments stand between words, and the
//! operators over the bits of integers.

use arrow_schema::DataType;
use sqlparser::ast::{self, BinaryOperator};

use super::expr::ExprBinder;
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::convert;
use crate::expr::{Expr, Scalar, ScalarFunction, Typed};
use crate::function::arithmetic;

impl ExprBinder<'_> {
    /// What an operator over the bits of integers computes.
    pub(super) fn bitwise(op: &BinaryOperator) -> Option<&'static ScalarFunction> {
        Some(match op {
            BinaryOperator::BitwiseAnd => &arithmetic::AND,
            BinaryOperator::BitwiseOr => &arithmetic::OR,
            BinaryOperator::BitwiseXor | BinaryOperator::PGBitwiseXor => &arithmetic::XOR,
            _ => return None,
        })
    }

    /// TRIM, SUBSTRING or POSITION.
    pub(super) fn spelled(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        match expr {
            ast::Expr::Trim { expr, trim_where, trim_what, trim_characters } => {
                let characters = trim_what.as_deref().into_iter().chain(trim_characters.iter().flatten());
                self.trim(expr, *trim_where, &characters.collect::<Vec<_>>())
            }
            ast::Expr::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.as_deref();
                let args = std::iter::once(expr.as_ref()).chain(from).chain(substring_for.as_deref());
                let mut args = args.map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
                if from.is_none() && args.len() > 1 {
                    args.insert(1, Typed::literal(Scalar::Int(1)));
                }
                self.scalar("substr", args)
            }
            ast::Expr::Position { expr, r#in } => {
                let args = vec![self.bind(r#in)?, self.bind(expr)?];
                self.scalar("strpos", args)
            }
            other => Err(SqlError::unsupported(format!("the expression {other}"))),
        }
    }

    /// TRIM, whose side and characters are written as words.
    fn trim(
        &mut self,
        expr: &ast::Expr,
        side: Option<ast::TrimWhereField>,
        what: &[&ast::Expr],
    ) -> Result<Typed, SqlError> {
        let mut args = vec![self.bind(expr)?];
        for what in what {
            args.push(self.bind(what)?);
        }
        let name = match side {
            None | Some(ast::TrimWhereField::Both) => "btrim",
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        };
        self.scalar(name, args)
    }

    /// `&`, `|` and `^` of integers: of one type that, else BIGINT.
    pub(super) fn bits(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        function: &'static ScalarFunction,
        right: &ast::Expr,
    ) -> Result<Typed, SqlError> {
        let operands = [self.bind(left)?, self.bind(right)?];
        let types = operands.each_ref().map(|operand| operand.data_type.clone());
        let to = match &types {
            [DataType::UInt64, DataType::UInt64] => DataType::UInt64,
            [
                DataType::Int64 | DataType::UInt64 | DataType::Null,
                DataType::Int64 | DataType::UInt64 | DataType::Null,
            ] => DataType::Int64,
            _ => return Err(SqlErrorKind::Arguments { name: op.to_string(), types: types.to_vec() }.into()),
        };
        let args = operands.into_iter().map(|operand| convert(operand, &to)).collect::<Result<_, _>>()?;
        Ok(Typed::new(Expr::Call { function, args }, to))
    }
}
