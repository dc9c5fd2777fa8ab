//! Rule: inner joins run in an order that keeps rows few, whatever order they are written in.
//!
//! 1. Inner joins that stand in one another are taken apart into inputs and conditions over the columns of all.
//! 2. The largest input streams. One after the other the rest become hash tables that its rows are looked up in: next
//!    is always the one after which there are the fewest rows, among those that an equality ties to what is there.
//!    Where none is tied, every row meets every other of the smallest.
//! 3. A condition goes to the first join that has all it reads: an equality between its two sides as a key.
//! 4. A projection brings the columns back into their order.
//!
//! How many rows an input has is what its table has, as the server counts it, and a rule of thumb for each filter. A
//! row meets `rows / values` rows of an input by keys of that number of values. There are no statistics of values, but
//! columns that are equal to one another have no more of them than the smallest of their tables has rows: where
//! nations are one of the inputs, customers and suppliers of one nation meet by 25 values, and customers and orders by
//! as many as there are customers.
//!
//! The rows that EXISTS marks pass a hash table of the subquery's. Where they are the fewer, they are kept themselves
//! and the subquery's rows pass and mark them.
//!
//! A join is left as it is where a condition can fail: other rows than those it is written for may make it fail.

use std::collections::BTreeMap;

use tidewire_storage::schema::TableId;

use super::push_filters::can_fail;
use crate::expr::conjunction::{join, operands, split};
use crate::expr::{BinaryOp, Expr};
use crate::plan::join::pairs;
use crate::plan::{JoinKind, JoinOn, Plan};

/// Inputs of joins that are put in order: each is looked at as often as there are others, and is a bit of a word.
const INPUTS_MAX: usize = 32;

/// Conditions of joins that are put in order: all are looked at for every pair of inputs.
const CONDITIONS_MAX: usize = 256;

/// Rows of a table that nobody has counted.
const ROWS_UNKNOWN: f64 = 10_000.0;

/// Rows of each table that has been counted.
pub type TableRows = BTreeMap<TableId, u64>;

/// `plan` with its joins in order.
pub(crate) fn ordered(plan: Plan, rows: &TableRows) -> Plan {
    if !matches!(plan, Plan::Join { kind: JoinKind::Inner, .. }) {
        return with_fewer_kept(plan.map_inputs(&mut |input| ordered(input, rows)), rows);
    }
    if !may_be_ordered(&plan) {
        return within(plan, rows);
    }
    let schema = plan.schema().clone();
    let mut parts = Parts { inputs: Vec::new(), equal: Vec::new(), filters: Vec::new() };
    parts.take_apart(plan, 0);
    for (_, input) in &mut parts.inputs {
        let own = std::mem::replace(input, Plan::Values { rows: Vec::new(), schema: schema.clone() });
        *input = ordered(own, rows);
    }
    let order = parts.order(rows);
    let (plan, places) = parts.joined(&order);
    if places.iter().enumerate().all(|(at, place)| at == *place) {
        return plan;
    }
    Plan::Project { input: Box::new(plan), exprs: places.into_iter().map(Expr::Column).collect(), schema }
}

/// A join that marks rows with the fewer of both sides kept.
fn with_fewer_kept(plan: Plan, rows: &TableRows) -> Plan {
    match plan {
        Plan::Join { inputs, kind: JoinKind::Mark { with_nulls: false }, on, schema }
            if !on.keys.is_empty() && size(&inputs[0], rows).rows * 2.0 <= size(&inputs[1], rows).rows =>
        {
            let [marked, subquery] = *inputs;
            let (width, before) = (marked.schema().fields().len(), subquery.schema().fields().len());
            let place = |at: usize| Expr::Column(if at < width { at + before } else { at - width });
            let keys = on.keys.into_iter().map(|(row, inner)| (inner, row)).collect();
            let on = JoinOn { keys, filter: on.filter.map(|filter| filter.map_columns(&mut |at| place(at))) };
            Plan::Join { inputs: Box::new([subquery, marked]), kind: JoinKind::MarkKept, on, schema }
        }
        other => other,
    }
}

/// The tables of joins that might be put in order; none where there is no such join.
pub(crate) fn tables(plan: &Plan) -> Vec<TableId> {
    let (mut found, mut joins) = (Vec::new(), false);
    let mut open = vec![plan];
    while let Some(plan) = open.pop() {
        joins |= matches!(plan, Plan::Join { kind: JoinKind::Inner | JoinKind::Mark { with_nulls: false }, .. });
        if let Plan::Scan(scan) = plan {
            found.push(scan.table.id);
        }
        open.extend(plan.inputs());
    }
    found.sort_unstable();
    found.dedup();
    if joins { found } else { Vec::new() }
}

/// The joins of one tree as they are, and what stands below them in order.
fn within(plan: Plan, rows: &TableRows) -> Plan {
    match plan {
        Plan::Join { .. } => plan.map_inputs(&mut |input| within(input, rows)),
        other => ordered(other, rows),
    }
}

fn may_be_ordered(plan: &Plan) -> bool {
    let (mut inputs, mut conditions, mut open) = (0, 0, vec![plan]);
    while let Some(plan) = open.pop() {
        let Plan::Join { inputs: sides, kind: JoinKind::Inner, on, .. } = plan else {
            inputs += 1;
            continue;
        };
        let both = pairs(sides[0].schema(), sides[1].schema());
        let is_plain = |expr: &Expr, schema: &_| !can_fail(expr, schema) && !expr.is_volatile();
        let keys_are_plain =
            on.keys.iter().all(|(left, right)| is_plain(left, sides[0].schema()) && is_plain(right, sides[1].schema()));
        if !keys_are_plain || !on.filter.iter().all(|filter| is_plain(filter, &both)) {
            return false;
        }
        conditions += on.keys.len() + on.filter.as_ref().map_or(0, |filter| operands(BinaryOp::And, filter).count());
        open.extend(sides.iter());
    }
    inputs <= INPUTS_MAX && conditions <= CONDITIONS_MAX
}

/// Joins taken apart. Columns are those of all inputs side by side.
struct Parts {
    /// Each with its first column.
    inputs: Vec<(usize, Plan)>,
    equal: Vec<(Expr, Expr)>,
    filters: Vec<Expr>,
}

impl Parts {
    fn take_apart(&mut self, plan: Plan, from: usize) {
        let Plan::Join { inputs, kind: JoinKind::Inner, on, .. } = plan else {
            self.inputs.push((from, plan));
            return;
        };
        let [left, right] = *inputs;
        let behind = from + left.schema().fields().len();
        let shifted = |expr: Expr, by: usize| expr.map_columns(&mut |at| Expr::Column(at + by));
        self.equal.extend(on.keys.into_iter().map(|(a, b)| (shifted(a, from), shifted(b, behind))));
        self.filters.extend(on.filter.map(split).unwrap_or_default().into_iter().map(|filter| shifted(filter, from)));
        self.take_apart(left, from);
        self.take_apart(right, behind);
    }

    /// The inputs that an expression reads, a bit each.
    fn reads(&self, expr: &Expr) -> u32 {
        let mut bits = 0;
        expr.for_each_column(&mut |at| {
            let input = self.inputs.partition_point(|(first, _)| *first <= at) - 1;
            bits |= 1 << input;
        });
        bits
    }

    /// The inputs in the order in which they are joined.
    fn order(&self, rows: &TableRows) -> Vec<usize> {
        let sizes: Vec<Size> = self.inputs.iter().map(|(_, input)| size(input, rows)).collect();
        let ties = self.ties(&sizes);
        let largest = (0..sizes.len()).max_by(|a, b| sizes[*a].rows.total_cmp(&sizes[*b].rows)).unwrap_or_default();
        let (mut order, mut there) = (vec![largest], 1_u32 << largest);
        while order.len() < sizes.len() {
            let left = (0..sizes.len()).filter(|input| there & 1 << input == 0);
            let weighed = left.map(|input| match meets(input, there, &sizes[input], &ties) {
                Some(meets) => (false, meets, input),
                None => (true, 0.0, input),
            });
            let next = weighed.min_by(|a, b| {
                let by_size = sizes[a.2].rows.total_cmp(&sizes[b.2].rows);
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(by_size)
            });
            let Some((_, _, next)) = next else { break };
            order.push(next);
            there |= 1 << next;
        }
        order
    }

    /// What each equality ties together.
    fn ties(&self, sizes: &[Size]) -> Vec<Tie> {
        // Columns that are equal to one another are of one class.
        let mut classes: Vec<Vec<usize>> = Vec::new();
        for (a, b) in &self.equal {
            let (Expr::Column(a), Expr::Column(b)) = (a, b) else { continue };
            let (of_both, mut rest): (Vec<_>, Vec<_>) =
                classes.into_iter().partition(|class| class.contains(a) || class.contains(b));
            rest.push(of_both.into_iter().flatten().chain([*a, *b]).collect());
            classes = rest;
        }
        let all_rows = |bits: u32| match bits.count_ones() {
            1 => sizes[bits.trailing_zeros() as usize].all_rows,
            _ => f64::INFINITY,
        };
        let of_class = |class: &Vec<usize>| {
            class.iter().map(|at| all_rows(self.reads(&Expr::Column(*at)))).fold(f64::INFINITY, f64::min)
        };
        let tie = |(a, b): &(Expr, Expr)| {
            let sides = (self.reads(a), self.reads(b));
            let class = match a {
                Expr::Column(at) => classes.iter().find(|class| class.contains(at)),
                _ => None,
            };
            let values = class.map_or_else(|| all_rows(sides.0).min(all_rows(sides.1)), of_class);
            Tie { sides, values: values.max(1.0) }
        };
        self.equal.iter().map(tie).collect()
    }

    /// The joins in an order; and where each column is.
    fn joined(self, order: &[usize]) -> (Plan, Vec<usize>) {
        let reads: Vec<(u32, u32)> = self.equal.iter().map(|(a, b)| (self.reads(a), self.reads(b))).collect();
        let mut equal: Vec<_> = self.equal.iter().cloned().zip(reads).map(Some).collect();
        let mut filters: Vec<_> =
            self.filters.iter().map(|filter| Some((filter.clone(), self.reads(filter)))).collect();
        let width = self.inputs.iter().map(|(_, input)| input.schema().fields().len()).sum();
        let mut places: Vec<usize> = vec![usize::MAX; width];
        let firsts: Vec<usize> = self.inputs.iter().map(|(first, _)| *first).collect();
        let mut inputs: Vec<Option<Plan>> = self.inputs.into_iter().map(|(_, input)| Some(input)).collect();
        let (mut plan, mut there) = (None::<Plan>, 0_u32);
        for &input in order {
            let Some(right) = inputs[input].take() else { continue };
            let behind = plan.as_ref().map_or(0, |plan| plan.schema().fields().len());
            for at in 0..right.schema().fields().len() {
                places[firsts[input] + at] = behind + at;
            }
            let (before, own) = (there, 1_u32 << input);
            there |= own;
            let Some(left) = plan.take() else {
                plan = Some(right);
                continue;
            };
            let placed = |expr: Expr| expr.map_columns(&mut |at| Expr::Column(places[at]));
            let of_right = |expr: Expr| expr.map_columns(&mut |at| Expr::Column(at - firsts[input]));
            let (mut keys, mut conditions) = (Vec::new(), Vec::new());
            for slot in &mut equal {
                let Some(((a, b), (of_a, of_b))) = slot.take_if(|(_, (a, b))| (*a | *b) & !there == 0) else {
                    continue;
                };
                if of_a & !before == 0 && of_b == own {
                    keys.push((placed(a), of_right(b)));
                } else if of_b & !before == 0 && of_a == own {
                    keys.push((placed(b), of_right(a)));
                } else {
                    conditions.push(placed(Expr::binary(a, BinaryOp::Eq, b)));
                }
            }
            for slot in &mut filters {
                if let Some((filter, _)) = slot.take_if(|(_, reads)| *reads & !there == 0) {
                    conditions.push(placed(filter));
                }
            }
            let schema = pairs(left.schema(), right.schema());
            let on = JoinOn { keys, filter: join(conditions) };
            plan = Some(Plan::Join { inputs: Box::new([left, right]), kind: JoinKind::Inner, on, schema });
        }
        let Some(plan) = plan else { unreachable!("invariant: a join has inputs") };
        (plan, places)
    }
}

/// An equality: the inputs that its sides read, and how many values they have.
struct Tie {
    sides: (u32, u32),
    values: f64,
}

/// How many rows of `input` a row of those that are `there` meets; `None` where no equality ties the two.
fn meets(input: usize, there: u32, size: &Size, ties: &[Tie]) -> Option<f64> {
    let own = 1 << input;
    let holds = |tie: &&Tie| {
        let (a, b) = tie.sides;
        (a == own && b & !there == 0) || (b == own && a & !there == 0)
    };
    let values = ties.iter().filter(holds).map(|tie| tie.values).reduce(|a, b| a * b)?;
    Some(size.rows / values.min(size.all_rows).max(1.0))
}

/// How large an input is.
struct Size {
    /// Its rows.
    rows: f64,
    /// The rows that it would have without filters.
    all_rows: f64,
}

fn size(plan: &Plan, rows: &TableRows) -> Size {
    let same = |rows: f64| Size { rows, all_rows: rows };
    match plan {
        Plan::Scan(scan) => {
            let all_rows = rows.get(&scan.table.id).map_or(ROWS_UNKNOWN, |rows| *rows as f64).max(1.0);
            let is_part = scan.time_min > i64::MIN || scan.time_max < i64::MAX;
            let of_time = if is_part { 0.3 } else { 1.0 };
            let filters = scan.tag_filter.iter().chain(&scan.filter).map(share);
            Size { rows: (all_rows * of_time * filters.product::<f64>()).max(1.0), all_rows }
        }
        Plan::Filter { input, predicate } => {
            let Size { rows, all_rows } = size(input, rows);
            Size { rows: (rows * share(predicate)).max(1.0), all_rows }
        }
        Plan::Project { input, .. }
        | Plan::Window { input, .. }
        | Plan::Series { input, .. }
        | Plan::Repeat { input, .. } => size(input, rows),
        Plan::Sort { input, fetch, .. } | Plan::Limit { input, fetch, .. } => match fetch {
            Some(fetch) => same(size(input, rows).rows.min(*fetch as f64).max(1.0)),
            None => size(input, rows),
        },
        Plan::Aggregate { group, .. } if group.is_empty() => same(1.0),
        Plan::Aggregate { input, .. } | Plan::Distinct { input } => same((size(input, rows).rows / 10.0).max(1.0)),
        Plan::Union { inputs, .. } => same(inputs.iter().map(|input| size(input, rows).rows).sum()),
        Plan::Join { inputs, kind, on, .. } => {
            let (left, right) = (size(&inputs[0], rows).rows, size(&inputs[1], rows).rows);
            same(match kind {
                JoinKind::Inner if on.keys.is_empty() => left * right,
                JoinKind::Inner => left.max(right),
                JoinKind::Right | JoinKind::MarkKept => right,
                JoinKind::Full => left + right,
                JoinKind::Left | JoinKind::Single | JoinKind::Mark { .. } => left,
            })
        }
        Plan::Values { rows, .. } => same((rows.len() as f64).max(1.0)),
        Plan::External(_) => same(ROWS_UNKNOWN),
    }
}

/// The share of rows that a condition leaves, by rule of thumb.
fn share(condition: &Expr) -> f64 {
    match condition {
        Expr::Binary { op: BinaryOp::And, left, right } => share(left) * share(right),
        Expr::Binary { op: BinaryOp::Or, left, right } => (share(left) + share(right)).min(1.0),
        Expr::Binary { op: BinaryOp::Eq, .. } | Expr::Like { negated: false, .. } | Expr::IsNull(_) => 0.1,
        Expr::InList { negated: false, .. } => 0.2,
        Expr::Binary { op: BinaryOp::Lt | BinaryOp::LtEq | BinaryOp::Gt | BinaryOp::GtEq, .. } => 0.4,
        Expr::Binary { op: BinaryOp::NotEq, .. } | Expr::IsNotNull(_) | Expr::Like { negated: true, .. } => 0.9,
        _ => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidewire_storage::schema::{
        Catalog, ColumnId, ColumnKind, ColumnSchema, Database, DatabaseOptions, FieldType, TableSchema, TimeUnit,
    };

    use super::*;
    use crate::{Session, Statement, prepare};

    /// A star: the lines of orders, and what belongs to them. Every table has a tag and fields of integers.
    const TABLES: [(&str, u64, &[&str]); 5] = [
        ("parts", 2_000, &["part", "size"]),
        ("suppliers", 100, &["supplier", "nation"]),
        ("lines", 60_000, &["ordered", "part", "supplier", "price"]),
        ("orders", 15_000, &["ordered", "client"]),
        ("clients", 1_500, &["client", "nation"]),
    ];

    fn catalog() -> (Catalog, TableRows) {
        let column = |(at, name): (usize, &&str)| ColumnSchema {
            id: ColumnId(at as u16),
            name: (**name).into(),
            kind: if at == 0 { ColumnKind::Tag } else { ColumnKind::Field(FieldType::Int) },
            codec: None,
            geometry: None,
        };
        let table = |(id, (name, _, fields)): (usize, &(&str, u64, &[&str]))| {
            Arc::new(TableSchema {
                id: TableId(id as u32),
                name: (*name).into(),
                columns: std::iter::once(&"tag").chain(*fields).enumerate().map(column).collect(),
                time_unit: TimeUnit::Nanosecond,
                partition_length: 1 << 40,
                next_column: fields.len() as u16 + 1,
            })
        };
        let tables = TABLES.iter().enumerate().map(table);
        let database = Database::new("public", &DatabaseOptions::default(), tables);
        let databases = [(database.name.clone(), Arc::new(database))].into_iter().collect();
        let rows = TABLES.iter().enumerate().map(|(id, (_, rows, _))| (TableId(id as u32), *rows)).collect();
        (Catalog { version: 1, databases, next_table: TABLES.len() as u32, ..Catalog::default() }, rows)
    }

    /// The lines of a plan from its first join on, without indentation.
    fn joins(text: &str) -> Vec<String> {
        let (catalog, rows) = catalog();
        let session = Session {
            tenant: tidewire_storage::schema::DEFAULT_TENANT.to_owned(),
            database: "public".to_owned(),
            user: "root".to_owned(),
            rights: tidewire_storage::schema::Rights::All,
            now_ns: 0,
            facts: crate::facts::ServerFacts::default(),
        };
        let statement = prepare(text, &catalog, &session).unwrap();
        assert!(!statement.joined_tables().is_empty(), "{text}");
        let Statement::Query(query) = statement.with_joins_ordered(&rows) else { panic!("{text} is a query") };
        let plan = query.plan.to_string();
        plan.lines().map(|line| line.trim().to_owned()).skip_while(|line| !line.starts_with("Join")).collect()
    }

    #[test]
    fn the_largest_streams_and_what_is_not_tied_waits() {
        // Parts and suppliers are not tied to each other, though they are written side by side.
        let found = joins(
            "SELECT count(*) FROM parts p, suppliers s, lines l, orders o, clients c WHERE p.part = l.part \
             AND s.supplier = l.supplier AND o.ordered = l.ordered AND c.client = o.client AND size = 7",
        );
        let expected = [
            "Join: inner on client = client",
            "Join: inner on ordered = ordered",
            "Join: inner on supplier = supplier",
            "Join: inner on part = part",
            "Scan: public.lines [ordered, part, supplier]",
            "Scan: public.parts [part, size], filter: size = 7",
            "Scan: public.suppliers [supplier]",
            "Scan: public.orders [ordered, client]",
            "Scan: public.clients [client]",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_do_not_meet_by_a_key_of_few_values_first() {
        // A supplier meets the clients of its nation by a hundred values at most; by orders each line has one client.
        let found = joins(
            "SELECT count(*) FROM clients c, orders o, lines l, suppliers s WHERE c.client = o.client \
             AND o.ordered = l.ordered AND l.supplier = s.supplier AND c.nation = s.nation",
        );
        let expected = [
            "Join: inner on nation = nation and client = client",
            "Join: inner on ordered = ordered",
            "Join: inner on supplier = supplier",
            "Scan: public.lines [ordered, supplier]",
            "Scan: public.suppliers [supplier, nation]",
            "Scan: public.orders [ordered, client]",
            "Scan: public.clients [client, nation]",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn of_marked_rows_and_the_subquery_the_fewer_are_kept() {
        let exists = |from: &str, inner: &str| {
            joins(&format!("SELECT count(*) FROM {from} o LEFT SEMI JOIN {inner} l ON l.ordered = o.ordered"))
        };
        let kept = [
            "Join: mark kept rows on ordered = ordered",
            "Scan: public.lines [ordered]",
            "Scan: public.orders [ordered]",
        ];
        assert_eq!(exists("orders", "lines"), kept);
        let marked =
            ["Join: mark on ordered = ordered", "Scan: public.lines [ordered]", "Scan: public.orders [ordered]"];
        assert_eq!(exists("lines", "orders"), marked);
    }

    #[test]
    fn columns_stay_where_they_were_and_what_can_fail_is_left() {
        // The smaller side is the right one, wherever it is written.
        let found = joins("SELECT s.nation, l.price FROM suppliers s JOIN lines l ON s.supplier = l.supplier");
        assert_eq!(found[1], "Scan: public.lines [supplier, price]", "{found:?}");
        let found = joins("SELECT s.nation FROM suppliers s JOIN lines l ON s.supplier + 1 = l.supplier");
        assert_eq!(found[1], "Scan: public.suppliers [supplier, nation]", "{found:?}");
        // An outer join is an input like others.
        let found = joins(
            "SELECT 1 FROM suppliers s LEFT JOIN clients c ON s.nation = c.nation JOIN lines l ON s.supplier = l.supplier",
        );
        assert_eq!(found[..2], ["Join: inner on supplier = supplier", "Scan: public.lines [supplier]"], "{found:?}");
    }
}
