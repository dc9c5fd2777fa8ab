//! Calls of functions over windows: `f(…) OVER (…)`. They are set aside as aggregates are ([`Windows`]), so that what
//! is around them sees a column, and are computed over the rows behind GROUP BY and HAVING.
//!
//! [`Windows`]: super::window_calls::Windows

use sqlparser::ast;

use super::arguments::{arguments, is_distinct, null_treatment, with_own_nulls};
use super::binder::Binder;
use super::expr::ExprBinder;
use super::heading;
use super::sort_order::sort_order;
use super::window_calls::{Order, WINDOWS_AT};
use crate::error::{SqlError, SqlErrorKind};
use crate::expr::coerce::{convert, no_window};
use crate::expr::{Expr, Scalar, Typed};
use crate::front::sql::parse::fold;
use crate::function::over::{OverWindow, find_over_window};
use crate::function::registry::{Known, find};
use crate::function::wrong_arguments;
use crate::plan::window::{Frame, FrameBound, FrameUnits, WindowFunction};
use crate::plan::{SortKey, WindowCall};
use arrow_schema::DataType;

/// Windows of one SELECT that name each other, at most N in a row.
const NAMES_MAX: usize = 64;

impl<'a> ExprBinder<'a> {
    /// A call over a window.
    pub(super) fn over_window(&mut self, function: &ast::Function) -> Result<Typed, SqlError> {
        let function = &*with_own_nulls(function);
        let Some(windows) = self.windows.take() else {
            let (name, clause) = (function.name.to_string().to_ascii_lowercase(), self.clause);
            return Err(SqlErrorKind::WindowMisplaced { name, clause }.into());
        };
        // Names in there are the input's.
        let aliases = std::mem::take(&mut self.aliases);
        let clause = std::mem::replace(&mut self.clause, "the arguments of a window function");
        let bound = self.window_call(function);
        self.clause = clause;
        self.aliases = aliases;
        let result = bound.map(|(order, call)| {
            let data_type = call.data_type.clone();
            let at = windows.add(order, call, || heading::call(function, self.scope));
            Typed::new(Expr::Column(WINDOWS_AT + at), data_type)
        });
        self.windows = Some(windows);
        result
    }

    fn window_call(&mut self, function: &ast::Function) -> Result<(Order, WindowCall), SqlError> {
        let spec = self.window_spec(function)?;
        let mut partition = Vec::with_capacity(spec.partition_by.len());
        for expr in spec.partition_by {
            let bound = self.bind(expr)?;
            no_window(&bound)?;
            if !partition.contains(&bound.expr) {
                partition.push(bound.expr);
            }
        }
        let (mut keys, mut key_types) = (Vec::with_capacity(spec.order_by.len()), Vec::new());
        for key in spec.order_by {
            let (descending, nulls_first) = sort_order(key)?;
            let bound = self.bind(&key.expr)?;
            no_window(&bound)?;
            key_types.push(bound.data_type);
            keys.push(SortKey { expr: bound.expr, descending, nulls_first });
        }
        let frame = match spec.frame {
            Some(frame) => self.frame(frame, &key_types)?,
            None if keys.is_empty() => Frame::WHOLE,
            None => Frame::SO_FAR,
        };
        let (window_function, data_type) = self.window_function(function)?;
        let ignore_nulls = nulls_ignored(function, &window_function)?;
        let call = WindowCall { function: window_function, frame, ignore_nulls, data_type };
        Ok((Order { partition, keys }, call))
    }

    /// What OVER says, names of windows replaced by what WINDOW says of them.
    fn window_spec<'e>(&self, function: &'e ast::Function) -> Result<Spec<'e>, SqlError>
    where
        'a: 'e,
    {
        let mut spec = Spec { partition_by: &[], order_by: &[], frame: None };
        let mut name = match &function.over {
            Some(ast::WindowType::WindowSpec(window)) => spec.take(window)?,
            Some(ast::WindowType::NamedWindow(name)) => Some(name),
            None => None,
        };
        for _ in 0..NAMES_MAX {
            let Some(wanted) = name else { return Ok(spec) };
            let wanted = fold(wanted);
            let named: &'a [ast::NamedWindowDefinition] = self.named_windows;
            let known = named.iter().find(|known| fold(&known.0) == wanted);
            // Their texts are parts of the one statement.
            name = match known.map(|known| &known.1) {
                Some(ast::NamedWindowExpr::WindowSpec(window)) => spec.take(window)?,
                Some(ast::NamedWindowExpr::NamedWindow(name)) => Some(name),
                None => return Err(SqlErrorKind::WindowUnknown(wanted).into()),
            };
        }
        Err(SqlErrorKind::TooMany { what: "windows that name each other", max: NAMES_MAX }.into())
    }

    fn window_function(&mut self, function: &ast::Function) -> Result<(WindowFunction, DataType), SqlError> {
        let name = function.name.to_string().to_ascii_lowercase();
        let Some((over, _)) = find_over_window(&name) else {
            return match find(&name) {
                Some(Known::Aggregate(_)) if is_distinct(function) => {
                    Err(SqlError::unsupported("DISTINCT in a window function"))
                }
                Some(Known::Aggregate(aggregate)) => {
                    let call = self.aggregate_call(aggregate, &name, function)?;
                    let data_type = call.data_type.clone();
                    Ok((WindowFunction::Aggregate(call), data_type))
                }
                _ => Err(SqlErrorKind::FunctionUnknown(name).into()),
            };
        };
        if function.filter.is_some() {
            return Err(SqlErrorKind::FilterOfScalar(name).into());
        }
        let args = arguments(function)?.into_iter().map(|arg| self.bind(arg)).collect::<Result<Vec<_>, _>>()?;
        args.iter().try_for_each(no_window)?;
        let refused = || wrong_arguments(&name, &args);
        let position = |at: usize| match args.get(at).and_then(Typed::constant) {
            Some(Scalar::Int(number)) => u64::try_from(number).ok().filter(|number| *number > 0).ok_or_else(refused),
            Some(Scalar::UInt(number)) => Ok(number),
            _ => Err(refused()),
        };
        let plain = |function| match args.as_slice() {
            [] => Ok((function, DataType::UInt64)),
            _ => Err(refused()),
        };
        let share = |function| plain(function).map(|(function, _)| (function, DataType::Float64));
        let of_value = |function: fn(Expr) -> WindowFunction| match args.as_slice() {
            [value] => Ok((function(value.expr.clone()), value.data_type.clone())),
            _ => Err(refused()),
        };
        match over {
            OverWindow::RowNumber => plain(WindowFunction::RowNumber),
            OverWindow::Rank => plain(WindowFunction::Rank),
            OverWindow::DenseRank => plain(WindowFunction::DenseRank),
            OverWindow::PercentRank => share(WindowFunction::PercentRank),
            OverWindow::CumeDist => share(WindowFunction::CumeDist),
            OverWindow::Ntile if args.len() == 1 => Ok((WindowFunction::Ntile(position(0)?), DataType::UInt64)),
            OverWindow::FirstValue => of_value(WindowFunction::First),
            OverWindow::LastValue => of_value(WindowFunction::Last),
            OverWindow::NthValue if args.len() == 2 => {
                Ok((WindowFunction::Nth(args[0].expr.clone(), position(1)?), args[0].data_type.clone()))
            }
            OverWindow::Lag => shift(&args, true).unwrap_or_else(|| Err(refused())),
            OverWindow::Lead => shift(&args, false).unwrap_or_else(|| Err(refused())),
            OverWindow::Ntile | OverWindow::NthValue => Err(refused()),
        }
    }

    /// A frame as it is written, for an order by keys of these types.
    fn frame(&mut self, frame: &ast::WindowFrame, keys: &[DataType]) -> Result<Frame, SqlError> {
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => FrameUnits::Rows,
            ast::WindowFrameUnits::Range => FrameUnits::Range,
            ast::WindowFrameUnits::Groups => FrameUnits::Groups,
        };
        let start = self.frame_bound(&frame.start_bound, units, keys)?;
        let end = match &frame.end_bound {
            Some(bound) => self.frame_bound(bound, units, keys)?,
            None => FrameBound::CurrentRow,
        };
        let order = |bound: &FrameBound| match bound {
            FrameBound::UnboundedPreceding => 0,
            FrameBound::Preceding(_) => 1,
            FrameBound::CurrentRow => 2,
            FrameBound::Following(_) => 3,
            FrameBound::UnboundedFollowing => 4,
        };
        let is_backwards = order(&start) > order(&end);
        if is_backwards || start == FrameBound::UnboundedFollowing || end == FrameBound::UnboundedPreceding {
            return Err(SqlErrorKind::FrameInvalid("it ends before it starts").into());
        }
        Ok(Frame { units, start, end })
    }

    fn frame_bound(
        &mut self,
        bound: &ast::WindowFrameBound,
        units: FrameUnits,
        keys: &[DataType],
    ) -> Result<FrameBound, SqlError> {
        let (by, make): (_, fn(Scalar) -> FrameBound) = match bound {
            ast::WindowFrameBound::CurrentRow => return Ok(FrameBound::CurrentRow),
            ast::WindowFrameBound::Preceding(None) => return Ok(FrameBound::UnboundedPreceding),
            ast::WindowFrameBound::Following(None) => return Ok(FrameBound::UnboundedFollowing),
            ast::WindowFrameBound::Preceding(Some(by)) => (by, FrameBound::Preceding),
            ast::WindowFrameBound::Following(Some(by)) => (by, FrameBound::Following),
        };
        let by = self.bind(by)?;
        let invalid = |why| SqlError::from(SqlErrorKind::FrameInvalid(why));
        let Some(value) = by.constant() else { return Err(invalid("a distance is no constant")) };
        let is_negative = match &value {
            Scalar::Int(value) => *value < 0,
            Scalar::Float(value) => value.is_nan() || *value < 0.0,
            Scalar::Interval { months, days, nanoseconds } => *months < 0 || *days < 0 || *nanoseconds < 0,
            _ => false,
        };
        if is_negative {
            return Err(invalid("a distance is negative"));
        }
        let fits = match (units, keys) {
            (FrameUnits::Rows | FrameUnits::Groups, _) => matches!(value, Scalar::Int(_)),
            (FrameUnits::Range, [DataType::Int64 | DataType::UInt64 | DataType::Float64]) => {
                matches!(value, Scalar::Int(_) | Scalar::UInt(_) | Scalar::Float(_))
            }
            (FrameUnits::Range, [DataType::Timestamp(..)]) => matches!(value, Scalar::Interval { .. }),
            (FrameUnits::Range, _) => return Err(invalid("a RANGE with a distance takes one key that has distances")),
        };
        if fits { Ok(make(value)) } else { Err(invalid("a distance is of another type than the key")) }
    }
}

/// Whether a call says IGNORE NULLS, in its arguments or behind them. That goes with values of other rows alone.
fn nulls_ignored(call: &ast::Function, function: &WindowFunction) -> Result<bool, SqlError> {
    let Some(treatment) = null_treatment(call) else { return Ok(false) };
    let is_value = matches!(
        function,
        WindowFunction::Shift { .. } | WindowFunction::First(_) | WindowFunction::Last(_) | WindowFunction::Nth(..)
    );
    match is_value {
        true => Ok(treatment == ast::NullTreatment::IgnoreNulls),
        false => Err(SqlError::unsupported(format!("{treatment} of {}", call.name))),
    }
}

/// `lag` and `lead`; `None` for arguments that they do not take.
fn shift(args: &[Typed], is_lag: bool) -> Option<Result<(WindowFunction, DataType), SqlError>> {
    let (value, rest) = args.split_first().filter(|(_, rest)| rest.len() <= 2)?;
    let by = match rest.first().map(Typed::constant) {
        // One row without a number.
        None | Some(Some(Scalar::Null)) => 1,
        Some(Some(Scalar::Int(by))) => by,
        _ => return None,
    };
    let by = if is_lag { by.checked_neg()? } else { by };
    let data_type = value.data_type.clone();
    let mut args = vec![value.expr.clone()];
    // A null is what stands there anyway.
    if let Some(default) = rest.get(1)
        && default.constant() != Some(Scalar::Null)
    {
        // Of the value's type, or an integer for a number.
        let is_number = matches!(data_type, DataType::Float64 | DataType::UInt64);
        if default.data_type != data_type && !(is_number && default.data_type == DataType::Int64) {
            return None;
        }
        match convert(default.clone(), &data_type) {
            Ok(default) => args.push(default),
            Err(error) => return Some(Err(error)),
        }
    }
    let function = WindowFunction::Shift { args, by };
    Some(Ok((function, data_type)))
}

/// What a window is made of.
struct Spec<'e> {
    partition_by: &'e [ast::Expr],
    order_by: &'e [ast::OrderByExpr],
    frame: Option<&'e ast::WindowFrame>,
}

impl<'e> Spec<'e> {
    /// Takes what `window` says of what is not said yet; with the name of the window that says the rest.
    fn take(&mut self, window: &'e ast::WindowSpec) -> Result<Option<&'e ast::Ident>, SqlError> {
        let says_both = (!self.partition_by.is_empty() && !window.partition_by.is_empty())
            || (!self.order_by.is_empty() && !window.order_by.is_empty())
            || (self.frame.is_some() && window.window_frame.is_some());
        if says_both {
            return Err(SqlErrorKind::FrameInvalid("two windows that say the same of it").into());
        }
        if !window.partition_by.is_empty() {
            self.partition_by = &window.partition_by;
        }
        if !window.order_by.is_empty() {
            self.order_by = &window.order_by;
        }
        self.frame = self.frame.or(window.window_frame.as_ref());
        Ok(window.window_name.as_ref())
    }
}

impl Binder<'_> {
    /// Refuses windows of one SELECT that have one name.
    pub(super) fn check_named_windows(&self, named: &[ast::NamedWindowDefinition]) -> Result<(), SqlError> {
        if named.len() < 2 {
            return Ok(());
        }
        let mut seen = std::collections::HashSet::new();
        match named.iter().map(|known| fold(&known.0)).find(|name| !seen.insert(name.clone())) {
            Some(name) => Err(SqlErrorKind::NameTwice(name).into()),
            None => Ok(()),
        }
    }
}
