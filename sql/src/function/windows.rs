//! Starts of windows of time that follow the clocks of a time zone.

use arrow_array::ArrayRef;

use crate::error::execution::{ExecError, Result};
use crate::expr::function::{Kernel, Returns};
use crate::expr::{Expr, Scalar, ScalarFunction};
use crate::types::array::{time_array, time_parts};
use crate::types::windows::Windows;
use crate::types::zone::Zone;

/// `[time, Literal width, Literal offset, Literal name of a zone]`; the time is in nanoseconds.
static ZONE_BIN: ScalarFunction =
    ScalarFunction::new("zone_bin", Returns::Argument(0), Kernel::Parameters(0, zone_bin));

/// The start of the window that each time is in.
pub(crate) fn start_of_window(time: Expr, windows: &Windows) -> Expr {
    let zone = windows.zone.as_ref().map_or("", Zone::name);
    let args = vec![
        time,
        Expr::Literal(Scalar::Int(windows.width_ns)),
        Expr::Literal(Scalar::Int(windows.offset_ns)),
        Expr::Literal(Scalar::Str(zone.into())),
    ];
    Expr::Call { function: &ZONE_BIN, args }
}

fn zone_bin(parameters: &[&Scalar], times: &ArrayRef) -> Result<ArrayRef> {
    let &[&Scalar::Int(width_ns), &Scalar::Int(offset_ns), Scalar::Str(zone)] = parameters else {
        return Err(ExecError::Internal("windows with other arguments than the binder's".into()));
    };
    let windows = Windows { width_ns, offset_ns, zone: Zone::named(zone) };
    let (times, nulls, unit) = time_parts(times)?;
    // Neighbours mostly share a window.
    let (mut start, mut end) = (i64::MAX, i64::MIN);
    let starts = times.iter().map(|&time| {
        if time < start || time >= end {
            (start, end) = windows.window(time);
        }
        start
    });
    Ok(time_array(starts.collect(), nulls, unit))
}
