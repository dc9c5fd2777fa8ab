//! Continuous queries: what is kept of one, when it runs, and over which times.
//!
//! A query is due when an interval has ended since it last ran: that of EVERY, or of GROUP BY time(). It then covers
//! the windows that ended since, and with FOR those before them too. One that was just made covers nothing that has
//! passed, unless EVERY or FOR is longer than a window.
//!
//! With LATE, windows that were covered are computed again when rows have come for them. They are computed as at first:
//! with the windows around them that FOR says, and where a window is filled with a value each by itself, since filling
//! depends on where a range begins.

use tidewire_storage::schema::Catalog;

use super::ast::{ContinuousQuery, Expr, Fill, Into, Literal, Op, Select, Source, Statement};
use super::bind::BindError;
use super::parse::parse;
use crate::types::windows::Windows;
use crate::types::zone::Zone;

/// Late windows that are computed with one statement: one that takes no longer than a panel of a dashboard.
const LATE_WINDOWS_MAX: i64 = 100;

/// A run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The interval that it is for begins here: what [`ContinuousQuery::due`] wants to know of it later.
    pub ran_ns: i64,
    /// Times from the first to before the second; `None` where there is nothing to do.
    pub range_ns: Option<(i64, i64)>,
}

impl ContinuousQuery {
    /// The query that [`Self::to_string`] gave a text of.
    pub fn of_text(text: &str) -> Option<Self> {
        match parse(text).ok()?.pop()? {
            Statement::CreateContinuousQuery(query) => Some(*query),
            _ => None,
        }
    }

    /// The query with the databases and policies of all that it names.
    pub fn completed(&self, catalog: &Catalog) -> Result<Self, BindError> {
        Ok(Self { select: self.select.completed(&self.database, catalog)?, ..self.clone() })
    }

    /// Width and offset of its windows.
    fn interval(&self) -> Option<(i64, i64)> {
        self.select.dimensions.iter().find_map(|dimension| match dimension.0.bare() {
            Expr::Call { name, args } if name == "time" => {
                let duration = |at: usize| match args.get(at).map(Expr::bare) {
                    Some(Expr::Literal(Literal::Duration(ns))) => Some(*ns),
                    _ => None,
                };
                let width = duration(0).filter(|width| *width > 0)?;
                Some((width, duration(1).unwrap_or(0) % width))
            }
            _ => None,
        })
    }

    /// Whether it runs now, if it ran last for `last_ns`. One without windows never does.
    pub fn due(&self, now_ns: i64, last_ns: Option<i64>) -> Option<Due> {
        let (interval, _) = self.interval()?;
        let every = self.every_ns.filter(|ns| *ns > 0).unwrap_or(interval);
        let next = last_ns.map_or(now_ns, |last| last.saturating_add(every));
        if next > now_ns {
            return None;
        }
        let windows = self.windows()?;
        let start = |width_ns: i64, at: i64| Windows { width_ns, ..windows.clone() }.start(at);
        let over = self.for_ns.filter(|ns| *ns > 0).unwrap_or(interval.max(every));
        let first = start(interval, next.saturating_add(interval).saturating_sub(over).saturating_sub(1));
        let end = start(interval, now_ns.saturating_add(interval - every.min(interval)));
        Some(Due { ran_ns: start(every, now_ns), range_ns: (first < end).then_some((first, end)) })
    }

    /// Its windows.
    fn windows(&self) -> Option<Windows> {
        let (width_ns, offset_ns) = self.interval()?;
        Some(Windows { width_ns, offset_ns, zone: self.select.zone.as_deref().and_then(Zone::named) })
    }

    /// With LATE: width of its windows, and the times at `now_ns` for which late rows count: from the first window as
    /// far back as LATE says, of which everything is still there where rows are kept for `kept_ns`, to before the end
    /// of those that are over.
    pub fn late(&self, now_ns: i64, kept_ns: Option<i64>) -> Option<(i64, (i64, i64))> {
        let (late_ns, windows) = (self.late_ns?, self.windows()?);
        let since = windows.start(now_ns.saturating_sub(late_ns));
        let kept = kept_ns.map(|kept_ns| windows.next(now_ns.saturating_sub(kept_ns)));
        Some((windows.width_ns, (kept.map_or(since, |kept| kept.max(since)), windows.start(now_ns))))
    }

    /// How much of the times that rows were late for is computed with one statement.
    pub fn late_step_ns(&self) -> i64 {
        let width_ns = self.interval().map_or(1, |(width_ns, _)| width_ns);
        match self.select.fill {
            None | Some(Fill::Null | Fill::None) => width_ns.saturating_mul(LATE_WINDOWS_MAX),
            Some(_) => width_ns,
        }
    }

    /// The times to run it over so that windows which rows came late for, those of `span`, are right; nothing before
    /// `first` and nothing from `end` on.
    pub fn late_range(&self, span: (i64, i64), (first, end): (i64, i64)) -> Option<(i64, i64)> {
        let windows = self.windows()?;
        let around = self.for_ns.map_or(0, |for_ns| for_ns.saturating_sub(windows.width_ns).max(0));
        let from = windows.start(span.0.saturating_sub(around)).max(first);
        let to = windows.next(span.1.saturating_sub(1).saturating_add(around)).min(end);
        (from < to).then_some((from, to))
    }

    /// What it runs over times from `first` to before `end`.
    pub fn over(&self, (first, end): (i64, i64)) -> Select {
        let mut select = self.select.clone();
        let bound = |op: Op, ns: i64| Expr::binary(Expr::name("time"), op, Expr::Literal(Literal::Integer(ns)));
        let times = [bound(Op::GtEq, first), bound(Op::Lt, end)].map(|bound| Expr::Paren(Box::new(bound)));
        let own = select.condition.take().map(|condition| Expr::Paren(Box::new(condition)));
        let mut operands = own.into_iter().chain(times);
        select.condition = operands.next().map(|first| Expr::Chain {
            first: Box::new(first),
            rest: operands.map(|operand| (Op::And, operand)).collect(),
        });
        select
    }
}

impl Select {
    /// The statement with the databases and policies of all that it names, in a request for `database`.
    pub fn completed(&self, database: &str, catalog: &Catalog) -> Result<Self, BindError> {
        let mut completed = self.clone();
        complete(&mut completed, database, catalog)?;
        Ok(completed)
    }
}

fn complete(select: &mut Select, database: &str, catalog: &Catalog) -> Result<(), BindError> {
    let fill = |own: &mut Option<String>, policy: &mut Option<String>| {
        let name = own.take().filter(|own| !own.is_empty()).unwrap_or_else(|| database.to_owned());
        let known = catalog.databases.get(&name).ok_or_else(|| BindError::DatabaseUnknown(name.clone()))?;
        let wanted = policy.take().filter(|policy| !policy.is_empty());
        let wanted = wanted.unwrap_or_else(|| known.default_policy.to_string());
        if known.policy(&wanted).is_none() {
            return Err(BindError::PolicyUnknown(format!("{name}.{wanted}")));
        }
        (*own, *policy) = (Some(name), Some(wanted));
        Ok(())
    };
    if let Some(Into { database, policy, .. }) = &mut select.into {
        fill(database, policy)?;
    }
    for source in &mut select.sources {
        match source {
            Source::Measurement(measurement) => {
                fill(&mut measurement.database, &mut measurement.policy)?;
            }
            Source::Subquery(inner) => complete(inner, database, catalog)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tidewire_storage::schema::{Database, DatabaseOptions};

    use super::*;

    const S: i64 = 1_000_000_000;

    fn query(clause: &str, dimensions: &str) -> ContinuousQuery {
        let text = format!(
            "CREATE CONTINUOUS QUERY c ON d {clause} BEGIN SELECT mean(v) INTO x FROM m WHERE a = 'b' OR a = 'c' \
             GROUP BY {dimensions} END"
        );
        ContinuousQuery::of_text(&text).unwrap()
    }

    fn runs(query: &ContinuousQuery, seconds: impl IntoIterator<Item = i64>) -> Vec<(i64, i64, i64)> {
        let (mut last, mut runs) = (None, Vec::new());
        for second in seconds {
            if let Some(due) = query.due(second * S, last) {
                last = Some(due.ran_ns);
                runs.extend(due.range_ns.map(|(first, end)| (second, first / S, end / S)));
            }
        }
        runs
    }

    #[test]
    fn a_query_runs_when_a_window_has_ended() {
        assert_eq!(runs(&query("", "time(10s)"), 103..125), [(110, 100, 110), (120, 110, 120)]);
        // What was missed while it could not run is made up for.
        assert_eq!(runs(&query("", "time(10s)"), [103, 137]), [(137, 100, 130)]);
        assert_eq!(runs(&query("", "time(10s, 3s)"), 110..125), [(113, 103, 113), (123, 113, 123)]);
    }

    #[test]
    fn every_and_for_say_how_often_and_how_far_back() {
        let often = query("RESAMPLE EVERY 5s", "time(10s)");
        assert_eq!(runs(&often, 103..112), [(105, 100, 110), (110, 100, 110)]);
        let seldom = query("RESAMPLE EVERY 20s", "time(10s)");
        assert_eq!(runs(&seldom, 103..125), [(103, 90, 100), (120, 100, 120)]);
        let far = query("RESAMPLE FOR 30s", "time(10s)");
        assert_eq!(runs(&far, 103..112), [(103, 80, 100), (110, 80, 110)]);
    }

    #[test]
    fn late_rows_count_as_far_back_as_late_says_and_everything_is_there() {
        let late = |clause: &str, kept: Option<i64>| {
            query(clause, "time(10s, 3s)")
                .late(128 * S, kept.map(|kept| kept * S))
                .map(|(width, (from, to))| (width / S, from / S, to / S))
        };
        assert_eq!(late("", None), None);
        assert_eq!(late("RESAMPLE LATE 1m", None), Some((10, 63, 123)));
        assert_eq!(late("RESAMPLE EVERY 5s FOR 1m LATE 1m", Some(45)), Some((10, 93, 123)));
        assert_eq!(late("RESAMPLE LATE 1m", Some(3600)), Some((10, 63, 123)));
    }

    #[test]
    fn late_windows_are_whole_and_computed_as_at_first() {
        let range = |clause: &str, (from, to): (i64, i64)| {
            let range = query(clause, "time(10s)").late_range((from * S, to * S), (50 * S, 200 * S));
            range.map(|(from, to)| (from / S, to / S))
        };
        assert_eq!(range("RESAMPLE LATE 1h", (110, 120)), Some((110, 120)));
        assert_eq!(range("RESAMPLE LATE 1h", (113, 131)), Some((110, 140)));
        assert_eq!(range("RESAMPLE FOR 30s LATE 1h", (110, 120)), Some((90, 140)));
        assert_eq!(range("RESAMPLE FOR 30s LATE 1h", (60, 190)), Some((50, 200)));
        assert_eq!(range("RESAMPLE LATE 1h", (30, 50)), None);
        assert_eq!(query("RESAMPLE LATE 1h", "time(10s)").late_step_ns(), 1_000 * S);
        for (fill, windows) in [("null", 100), ("none", 100), ("previous", 1), ("0", 1), ("linear", 1)] {
            assert_eq!(query("RESAMPLE LATE 1h", &format!("time(10s) fill({fill})")).late_step_ns(), windows * 10 * S);
        }
    }

    #[test]
    fn late_is_kept_as_text() {
        let late = query("RESAMPLE EVERY 5s FOR 30s LATE 7d", "time(10s)");
        assert_eq!((late.every_ns, late.for_ns, late.late_ns), (Some(5 * S), Some(30 * S), Some(604_800 * S)));
        assert_eq!(ContinuousQuery::of_text(&late.to_string()), Some(late));
    }

    #[test]
    fn a_query_without_windows_never_runs() {
        let text = "CREATE CONTINUOUS QUERY c ON d BEGIN SELECT v INTO x FROM m END";
        assert_eq!(ContinuousQuery::of_text(text).unwrap().due(5, None), None);
        assert_eq!(ContinuousQuery::of_text("SELECT v FROM m"), None);
    }

    #[test]
    fn what_it_runs_is_complete_and_bounded() {
        let mut catalog = Catalog::default();
        catalog.databases.insert("d".into(), Database::new("d", &DatabaseOptions::default(), []).into());
        let completed = query("", "time(10s)").completed(&catalog).unwrap();
        let select = "SELECT mean(v) INTO d.autogen.x FROM d.autogen.m WHERE a = 'b' OR a = 'c' GROUP BY time(10s)";
        assert_eq!(completed.to_string(), format!("CREATE CONTINUOUS QUERY c ON d BEGIN {select} END"));
        assert_eq!(ContinuousQuery::of_text(&completed.to_string()).unwrap(), completed);
        assert_eq!(
            completed.over((5, 9)).to_string(),
            select.replace("a = 'b' OR a = 'c'", "(a = 'b' OR a = 'c') AND (time >= 5) AND (time < 9)")
        );
        let unknown = BindError::DatabaseUnknown("d".to_owned());
        assert_eq!(query("", "time(10s)").completed(&Catalog::default()), Err(unknown));
    }
}
