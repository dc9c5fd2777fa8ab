//! Rule: conjuncts of a scan's filter that read tags alone are decided once a series instead of once a row.

use tidewire_storage::schema::ColumnId;

use crate::expr::Expr;
use crate::expr::conjunction::{join, split};
use crate::expr::extent::Work;
use crate::plan::{Plan, ScanColumn, ScanNode};

pub(super) fn rule(plan: Plan) -> Plan {
    match plan.map_inputs(&mut rule) {
        Plan::Scan(scan) => Plan::Scan(separate(scan)),
        other => other,
    }
}

fn separate(mut scan: ScanNode) -> ScanNode {
    let Some(filter) = scan.filter.take() else {
        return scan;
    };
    let tag_at = |at: usize| match scan.columns.get(at) {
        Some(ScanColumn::Tag(id)) => Some(*id),
        _ => None,
    };
    let (of_tags, rest): (Vec<_>, Vec<_>) = split(filter).into_iter().partition(|conjunct| {
        // Series are decided in one go, which compiling a pattern for each would make long.
        let mut tags_alone = !conjunct.is_constant() && Work::of_all([conjunct]).patterns == 0;
        conjunct.for_each_column(&mut |at| tags_alone &= tag_at(at).is_some());
        tags_alone
    });
    let mut tag_columns: Vec<ColumnId> = std::mem::take(&mut scan.tag_columns);
    let moved = of_tags.into_iter().map(|conjunct| {
        conjunct.map_columns(&mut |at| {
            let Some(id) = tag_at(at) else {
                return Expr::Column(at);
            };
            let position = tag_columns.iter().position(|known| *known == id).unwrap_or_else(|| {
                tag_columns.push(id);
                tag_columns.len() - 1
            });
            Expr::Column(position)
        })
    });
    let all = scan.tag_filter.take().map(split).unwrap_or_default().into_iter().chain(moved).collect();
    scan.tag_filter = join(all);
    scan.tag_columns = tag_columns;
    scan.filter = join(rest);
    scan
}
