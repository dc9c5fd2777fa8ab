//! How large and how deep an expression is, and the bounds of both.
//!
//! Every pass over an expression recurses, the executor and `Drop` too, so that no expression may be deeper than
//! [`LEVELS_MAX`], whatever made it: a front end refuses one that is, a rule leaves one as it was that would become so.
//! Nor may a rule make much more of expressions than there was: what it puts in several places is counted
//! ([`Extent::with_columns`]) before it is copied. Measuring does not recurse.

use super::pattern::about_bytes;
use super::scalar::Scalar;
use super::tree::Expr;

/// Levels of an expression. A recursion over it takes some hundred bytes to a few kilobytes of stack a level, and the
/// threads have 2 MiB at least.
pub(crate) const LEVELS_MAX: usize = 512;

/// Nodes of an expression that a rule may write a lower expression into more than once.
pub(crate) const SMALL_NODES_MAX: usize = 512;

/// Nodes and levels of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// Operators, columns and constants.
    pub(crate) nodes: usize,
    /// On the longest way to a leaf.
    pub(crate) levels: usize,
}

impl Extent {
    /// Of `expr`.
    pub(crate) fn of(expr: &Expr) -> Self {
        let mut whole = Self::default();
        whole.walk(expr, |_| Self { nodes: 1, levels: 1 });
        whole
    }

    /// Of `expr` with each column replaced by an expression as large as `columns` say.
    pub(crate) fn with_columns(expr: &Expr, columns: &[Self]) -> Self {
        let mut whole = Self::default();
        whole.walk(expr, |at| columns.get(at).copied().unwrap_or_default());
        whole
    }

    /// Of several expressions together, none of which stands under another.
    pub(crate) fn of_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Self {
        exprs.into_iter().map(Self::of).fold(Self::default(), Self::beside)
    }

    /// Of this and another beside it.
    pub(crate) fn beside(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), levels: self.levels.max(other.levels) }
    }

    /// Whether the bound of levels is kept.
    pub(crate) fn is_shallow(self) -> bool {
        self.levels <= LEVELS_MAX
    }

    fn walk(&mut self, expr: &Expr, column: impl Fn(usize) -> Self) {
        // Level by level.
        let (mut level, mut next, mut above) = (vec![expr], Vec::new(), 0_usize);
        while !level.is_empty() {
            for expr in level.drain(..) {
                let own = match expr {
                    Expr::Column(at) => column(*at),
                    _ => Self { nodes: 1, levels: 1 },
                };
                self.nodes = self.nodes.saturating_add(own.nodes);
                self.levels = self.levels.max(above + own.levels);
                expr.put_children(&mut next);
            }
            std::mem::swap(&mut level, &mut next);
            above += 1;
        }
    }
}

/// What it takes to evaluate expressions over a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Work {
    /// Operators, columns and constants.
    pub(crate) nodes: usize,
    /// Patterns that are compiled for the row.
    pub(crate) patterns: usize,
    /// What the other patterns take together, in bytes.
    pub(crate) pattern_bytes: usize,
}

impl Work {
    /// Of several expressions together.
    pub(crate) fn of_all<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Self {
        let mut whole = Self::default();
        let mut left: Vec<&Expr> = exprs.into_iter().collect();
        while let Some(expr) = left.pop() {
            whole.nodes += 1;
            let pattern = match expr {
                Expr::Call { function, args } => function.pattern.and_then(|at| args.get(at)),
                Expr::Like { pattern, .. } => Some(&**pattern),
                _ => None,
            };
            match (pattern, expr) {
                (Some(Expr::Literal(Scalar::Str(text))), Expr::Call { .. }) => {
                    whole.pattern_bytes = whole.pattern_bytes.saturating_add(about_bytes(text));
                }
                (Some(Expr::Literal(_)), _) => {}
                (Some(_), _) => whole.patterns += 1,
                (None, Expr::Matches { pattern, .. }) => {
                    whole.pattern_bytes = whole.pattern_bytes.saturating_add(pattern.weight());
                }
                (None, _) => {}
            }
            expr.put_children(&mut left);
        }
        whole
    }

    /// This and another.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            nodes: self.nodes + other.nodes,
            patterns: self.patterns + other.patterns,
            pattern_bytes: self.pattern_bytes.saturating_add(other.pattern_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::BinaryOp;

    fn sum(of: Vec<Expr>) -> Expr {
        let mut terms = of.into_iter();
        let first = terms.next().unwrap_or(Expr::Column(0));
        terms.fold(first, |left, right| Expr::binary(left, BinaryOp::Plus, right))
    }

    #[test]
    fn nodes_and_levels_are_those_of_the_tree_and_of_what_it_would_become() {
        let expr = sum(vec![Expr::Column(0), Expr::Column(1), Expr::Column(0)]);
        assert_eq!(Extent::of(&expr), Extent { nodes: 5, levels: 3 });
        let lower = [sum(vec![Expr::Column(7); 4]), Expr::Not(Box::new(Expr::Column(3)))];
        let written = expr.clone().map_columns(&mut |at| lower[at].clone());
        let told = Extent::with_columns(&expr, &[Extent::of(&lower[0]), Extent::of(&lower[1])]);
        assert_eq!(told, Extent::of(&written));
        assert_eq!(told, Extent { nodes: 2 + 2 * 7 + 2, levels: 6 });
        let both = Extent::of_all([&expr, &lower[0]]);
        assert_eq!(both, Extent { nodes: 12, levels: 4 });
        let chain = (0..LEVELS_MAX).fold(Expr::Column(0), |expr, _| Expr::Not(Box::new(expr)));
        assert!(!Extent::of(&chain).is_shallow());
    }
    #[test]
    fn patterns_are_work_where_rows_bring_them() {
        let like = |pattern: Expr| Expr::Like {
            expr: Box::new(Expr::Column(0)),
            pattern: Box::new(pattern),
            negated: false,
            case_insensitive: false,
        };
        let constant = like(Expr::Literal(Scalar::Str("a%".into())));
        assert_eq!(Work::of_all([&constant]), Work { nodes: 3, ..Work::default() });
        let twice = Expr::Not(Box::new(sum(vec![like(Expr::Column(1)), like(Expr::Column(2))])));
        assert_eq!(Work::of_all([&constant, &twice]), Work { nodes: 11, patterns: 2, pattern_bytes: 0 });
        let matches = |text: &str| {
            let pattern = crate::expr::pattern::Pattern::new(text, false).unwrap().into();
            Work::of_all([&Expr::Matches { expr: Box::new(Expr::Column(0)), pattern, negated: false }])
        };
        assert_eq!((matches("a").nodes, matches("a").patterns), (2, 0));
        assert!(matches("a").pattern_bytes < 200 << 10 && matches(r"\w{20}").pattern_bytes > 1 << 20);
    }
}
