//! Each rule by itself: the plan before it and after it, from EXPLAIN VERBOSE.

use tidewire_sql::Statement;
use tidewire_sql::statement::PlanStep;

use crate::prepared;

fn steps(query: &str) -> Vec<PlanStep> {
    match prepared(&format!("explain verbose {query}")) {
        Ok(Statement::Explain { steps, .. }) => steps,
        other => panic!("{query}: {other:?}"),
    }
}

/// Checks the first change that `rule` makes to the plan of `query`.
fn check(rule: &str, query: &str, before: &str, after: &str) {
    let steps = steps(query);
    let name = format!("logical_plan after {rule}");
    let change = steps.windows(2).find(|pair| pair[1].name == name && pair[0].plan != pair[1].plan);
    let Some([old, new]) = change else {
        panic!("{rule} changes nothing in {query}: {steps:#?}");
    };
    assert_eq!((old.plan.as_str(), new.plan.as_str()), (before, after), "{rule}: {query}");
}

#[test]
fn fold_constants() {
    check(
        "fold_constants",
        "select i from m where not (i > 1 + 2 * 3 and t is null) and true",
        "Project: i\n  Filter: NOT (i > 1 + 2 * 3 AND t IS NULL) AND true\n    Scan: public.m [time, t, u, i, n, f, b, s]",
        "Project: i\n  Filter: i <= 7 OR t IS NOT NULL\n    Scan: public.m [time, t, u, i, n, f, b, s]",
    );
    check(
        "fold_constants",
        "select count(*) as c from m where 1 > 2",
        "Project: COUNT(UInt8(1)) AS c\n  Aggregate: group=[], calls=[count(*)]\n    Filter: 1 > 2\n      \
         Scan: public.m [time, t, u, i, n, f, b, s]",
        "Project: COUNT(UInt8(1)) AS c\n  Aggregate: group=[], calls=[count(*)]\n    \
         Values: 0 rows of [time, t, u, i, n, f, b, s]",
    );
    // What may fail or depends on the kernel stays.
    for kept in ["i / 0 = 1", "i = 9223372036854775807 + 1", "cast(2.5 as string) = s"] {
        let plan = &steps(&format!("select i from m where {kept}"))[1].plan;
        assert!(plan.contains("/ 0") || plan.contains("+ 1") || plan.contains("CAST(2.5"), "{plan}");
    }
}

#[test]
fn group_distinct() {
    check(
        "group_distinct",
        "select distinct t from m",
        "Distinct\n  Project: t\n    Scan: public.m [time, t, u, i, n, f, b, s]",
        "Aggregate: group=[t], calls=[]\n  Project: t\n    Scan: public.m [time, t, u, i, n, f, b, s]",
    );
}

#[test]
fn merge_unions() {
    check(
        "merge_unions",
        "select x from (select t as x from m union all select u from m) union all select t from m where 1 > 2 \
         union all select s from m",
        "Union: [x]\n  Union: [x]\n    Project: t AS x\n      Scan: public.m [time, t, u, i, n, f, b, s]\n    \
         Project: u\n      Scan: public.m [time, t, u, i, n, f, b, s]\n  Project: t\n    \
         Values: 0 rows of [time, t, u, i, n, f, b, s]\n  Project: s\n    \
         Scan: public.m [time, t, u, i, n, f, b, s]",
        "Union: [x]\n  Project: t AS x\n    Scan: public.m [time, t, u, i, n, f, b, s]\n  Project: u\n    \
         Scan: public.m [time, t, u, i, n, f, b, s]\n  Project: s\n    Scan: public.m [time, t, u, i, n, f, b, s]",
    );
}

#[test]
fn merge_projects() {
    check(
        "merge_projects",
        "select x + 1 as y from (select i * 2 as x from m) where true",
        "Project: x + 1 AS y\n  Project: i * 2 AS x\n    Scan: public.m [time, t, u, i, n, f, b, s]",
        "Project: i * 2 + 1 AS y\n  Scan: public.m [time, t, u, i, n, f, b, s]",
    );
    // What would be computed twice stays below.
    let plan = &steps("select x + x as y from (select i * 2 as x from m)").pop().map(|step| step.plan);
    assert_eq!(plan.as_deref(), Some("Project: x + x AS y\n  Project: i * 2 AS x\n    Scan: public.m [i]"));
}

#[test]
fn push_filters() {
    check(
        "push_filters",
        "select * from (select t, max(i) as top from m group by t) where t = 'a' and top > 5",
        "Filter: t = 'a' AND top > 5\n  Project: m.t AS t, MAX(m.i) AS top\n    \
         Aggregate: group=[t], calls=[max(i)]\n      Scan: public.m [time, t, u, i, n, f, b, s]",
        "Project: m.t AS t, MAX(m.i) AS top\n  Filter: MAX(m.i) > 5\n    Aggregate: group=[t], calls=[max(i)]\n      \
         Scan: public.m [time, t, u, i, n, f, b, s], filter: t = 'a'",
    );
    // A LIMIT chooses rows before the filter sees them.
    let plan = steps("select i from (select i from m limit 5) where i > 1").pop().map(|step| step.plan);
    let expected = "Filter: i > 1\n  Limit: skip=0, fetch=5\n    Project: i\n      Scan: public.m [i]";
    assert_eq!(plan.as_deref(), Some(expected));
}

#[test]
fn push_marks() {
    check(
        "push_marks",
        "select a.i from m a, m c where a.i = c.i and c.n in (select n from m)",
        "Project: i\n  Filter: mark\n    Join: mark with nulls on n = n\n      Join: inner on i = i\n        \
         Scan: public.m [time, t, u, i, n, f, b, s]\n        Scan: public.m [time, t, u, i, n, f, b, s]\n      \
         Project: n\n        Scan: public.m [time, t, u, i, n, f, b, s]",
        "Project: i\n  Join: inner on i = i\n    Scan: public.m [time, t, u, i, n, f, b, s]\n    Filter: mark\n      \
         Join: mark on n = n\n        Scan: public.m [time, t, u, i, n, f, b, s]\n        Project: n\n          \
         Scan: public.m [time, t, u, i, n, f, b, s]",
    );
    // What compares rows of both, or asks more than whether keys are equal, stays; and what can fail.
    for kept in [
        "a.i + c.i in (select i from m)",
        "exists (select 1 from m x where x.i = c.i and x.f > c.f)",
        "c.n / c.n in (select n from m)",
    ] {
        let plan = &steps(&format!("select a.i from m a, m c where a.i = c.i and {kept}")).pop().map(|step| step.plan);
        assert!(plan.as_deref().is_some_and(|plan| plan.starts_with("Project: i\n  Filter: mark\n")), "{plan:?}");
    }
}

#[test]
fn shared_sums() {
    check(
        "shared_sums",
        "select t, sum(i + 1) as x, sum(i - 2) as y, count(i) as z from m group by t",
        "Project: m.t AS t, SUM(m.i + Int64(1)) AS x, SUM(m.i - Int64(2)) AS y, COUNT(m.i) AS z\n  \
         Aggregate: group=[t], calls=[sum(i + 1), sum(i - 2), count(i)]\n    Scan: public.m [t, i]",
        "Project: m.t AS t, SUM(m.i + Int64(1)) AS x, SUM(m.i - Int64(2)) AS y, COUNT(m.i) AS z\n  \
         Project: m.t, shifted_sum(sum(i), count(i), 1) AS SUM(m.i + Int64(1)), \
         shifted_sum(sum(i), count(i), -2) AS SUM(m.i - Int64(2)), count(i) AS COUNT(m.i)\n    \
         Aggregate: group=[t], calls=[sum(i), count(i)]\n      Scan: public.m [t, i]",
    );
    // One sum is as well made as it is written; of other than BIGINT the order of additions matters.
    for kept in ["sum(i + 1)", "sum(f + 1), sum(f + 2)", "sum(distinct i + 1), sum(distinct i + 2)"] {
        let plan = &steps(&format!("select {kept} from m")).pop().map(|step| step.plan);
        assert!(plan.as_deref().is_some_and(|plan| !plan.contains("shifted_sum")), "{plan:?}");
    }
}

#[test]
fn in_lists() {
    check(
        "in_lists",
        "select t from m where t = 'a' or u = 'x' or t in ('b', 'c') or u = 'y'",
        "Project: t\n  Scan: public.m [time, t, u, i, n, f, b, s], \
         filter: t = 'a' OR u = 'x' OR t IN ('b', 'c') OR u = 'y'",
        "Project: t\n  Scan: public.m [time, t, u, i, n, f, b, s], filter: t IN ('a', 'b', 'c') OR u IN ('x', 'y')",
    );
}

#[test]
fn presence() {
    check(
        "presence",
        "select i from m where i > 1 and (i is not null or n is not null)",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], filter: i > 1 AND (i IS NOT NULL OR n IS NOT NULL)",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], filter: i > 1",
    );
}

#[test]
fn time_range() {
    check(
        "time_range",
        "select i from m where (time < '2022-01-01' and i > 1 or time = '2022-06-01') and time >= '2021-01-01'",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], filter: (time = 2022-06-01T00:00:00 OR \
         time < 2022-01-01T00:00:00 AND i > 1) AND time >= 2021-01-01T00:00:00",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], time>=2021-01-01T00:00:00, \
         time<=2022-06-01T00:00:00, filter: time = 2022-06-01T00:00:00 OR time < 2022-01-01T00:00:00 AND i > 1",
    );
}

#[test]
fn tag_filter() {
    check(
        "tag_filter",
        "select i from m where u = 'x' and i > 1 and (t like 'a%' or u = 'y') and t = s",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], \
         filter: u = 'x' AND i > 1 AND (u = 'y' OR t LIKE 'a%') AND t = s",
        "Project: i\n  Scan: public.m [time, t, u, i, n, f, b, s], tags: u = 'x' AND (u = 'y' OR t LIKE 'a%'), \
         filter: i > 1 AND t = s",
    );
}

#[test]
fn prune_columns() {
    check(
        "prune_columns",
        "select x from (select t, sum(i) as x, max(f) as y from m where n > 1 group by t)",
        "Project: SUM(m.i) AS x\n  Aggregate: group=[t], calls=[sum(i), max(f)]\n    \
         Scan: public.m [time, t, u, i, n, f, b, s], filter: n > 1",
        "Project: SUM(m.i) AS x\n  Aggregate: group=[t], calls=[sum(i)]\n    Scan: public.m [t, i, n], filter: n > 1",
    );
}

#[test]
fn fetch() {
    check(
        "fetch",
        "select i from m order by time limit 5 offset 2",
        "Project: i\n  Limit: skip=2, fetch=5\n    Sort: sort key 1 ASC\n      Project: i, time AS sort key 1\n        \
         Scan: public.m [time, i]",
        "Project: i\n  Limit: skip=2, fetch=5\n    Sort: sort key 1 ASC, fetch=7\n      \
         Project: i, time AS sort key 1\n        Scan: public.m [time, i]",
    );
}
