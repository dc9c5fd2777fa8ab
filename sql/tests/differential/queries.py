"""Random queries, each in both dialects.

A query is drawn over relations (tables, queries, joins of them), each column of which has a type and a kind. Where the
order of rows decides the answer (LIMIT, DISTINCT ON, row_number, frames of rows), the query orders by everything that
its rows have, so that rows which are tied are the same row."""

from typing import NamedTuple

from dialect import PLAIN, ROUGH, SMALL, SPECIAL, WILD, Both, apart, joined, literal, same
from expressions import Expressions
from tables import COLUMNS

# A row of these would be multiplied too often.
ROWS_MAX = 20_000


class Query(NamedTuple):
    text: Both
    columns: list  # (name, type, kind)
    rows: int  # an estimate of at most so many
    ordered: list  # of the outermost ORDER BY, the columns that it names: (position, descending, nulls first)
    in_sequence: bool = False  # whether the order decides all, though by columns that are not shown


class Relation(NamedTuple):
    text: Both
    columns: list  # Both, with the relation's name before the column's
    rows: int
    joins: bool = False
    distinct: bool = False  # whether no two rows are alike


class Queries:
    def __init__(self, rng, tables):
        self.rng = rng
        self.tables = tables
        self.named = []  # CTEs: (name, columns, rows)
        self.aliases = 0
        self.names = 0

    def chance(self, share):
        return self.rng.random() < share

    def alias(self):
        self.aliases += 1
        return f"r{self.aliases}"

    # Relations.

    def relation(self, depth):
        kind = self.rng.random()
        if depth > 0 and kind < 0.3:
            return self.join(depth)
        if depth > 0 and kind < 0.45:
            query = self.query(depth - 1, inner=True)
            alias = self.alias()
            return self.under(alias, same("({0}) AS {1}", query.text, alias), query.columns, query.rows)
        if self.named and kind < 0.7:
            name, columns, rows = self.rng.choice(self.named)
            alias = self.alias()
            return self.under(alias, same("{0} AS {1}", name, alias), columns, rows)
        if kind > 0.95:
            return self.values()
        return self.table()

    def under(self, alias, text, columns, rows):
        return Relation(
            text, [same("{0}.{1}", alias, name, type=type, kind=kind) for name, type, kind in columns], rows
        )

    def table(self, among=None):
        table, alias = self.rng.choice(among or self.tables), self.alias()
        relation = self.under(alias, same("{0} AS {1}", table.name, alias), COLUMNS, len(table.rows) + 1)
        return relation._replace(distinct=True)

    def values(self):
        types = [self.rng.choice("ifsb") for _ in range(self.rng.randint(1, 3))]
        draw = Expressions(self.rng, [])
        rows = []
        for _ in range(self.rng.randint(1, 6)):
            rows.append(same("({0})", joined(", ", [draw.of(type, 0) for type in types])))
        # A first row of typed nulls says what the columns are.
        rows[0] = same("({0})", joined(", ", [literal(type, None) for type in types]))
        columns = [(f"v{at}", type, PLAIN if type in "sb" else SMALL) for at, type in enumerate(types)]
        alias = self.alias()
        names = ", ".join(name for name, _, _ in columns)
        text = same("(VALUES {0}) AS {1}({2})", joined(", ", rows), alias, names)
        return self.under(alias, text, columns, len(rows))

    def join(self, depth):
        left = self.relation(depth - 1)
        right = self.relation(0) if self.chance(0.8) else self.relation(depth - 1)
        if right.joins:
            right = right._replace(text=same("({0})", right.text))
        both = left.columns + right.columns
        kind = self.rng.choice(["JOIN", "JOIN", "INNER JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"])
        product, distinct = left.rows * right.rows, left.distinct and right.distinct
        if kind == "CROSS JOIN":
            if product <= ROWS_MAX:
                return Relation(same("{0} CROSS JOIN {1}", left.text, right.text), both, product, True, distinct)
            kind = "JOIN"
        equal = self.equality(left, right)
        if equal is not None and not right.joins and self.chance(0.1):
            # Only the left side's columns are seen behind it.
            word = self.rng.choice(["SEMI", "ANTI"])
            text = apart(
                "{0} LEFT " + word + " JOIN {1} ON {2}",
                "{0} " + word + " JOIN {1} ON {2}",
                left.text,
                right.text,
                equal,
            )
            return Relation(text, left.columns, left.rows, True, left.distinct)
        condition = Expressions(self.rng, both)
        if equal is None or self.chance(0.15):
            if product > ROWS_MAX:
                return left
            on = condition.boolean(2)
        elif self.chance(0.3):
            on = same("{0} AND {1}", equal, condition.boolean(2))
        else:
            on = equal
        if self.chance(0.2) and equal is not None:
            more = self.equality(left, right)
            on = same("{0} AND {1}", on, more)
        # A key may have few values.
        rows = product if on is not equal and equal is None else product // 4 + left.rows + right.rows
        if rows > 2 * ROWS_MAX:
            return left
        return Relation(same("{0} " + kind + " {1} ON {2}", left.text, right.text, on), both, rows, True, distinct)

    def equality(self, left, right):
        pairs = [
            (a, b)
            for a in left.columns
            for b in right.columns
            if a.type == b.type and a.kind != ROUGH and b.kind != ROUGH and a.type != "b"
        ]
        if not pairs:
            return None
        narrow = [pair for pair in pairs if pair[0].type in "its" or pair[0].kind == SPECIAL]
        first, second = self.rng.choice(narrow or pairs)
        sign = "=" if self.chance(0.9) else "IS NOT DISTINCT FROM"
        if self.chance(0.1) and first.type == "i" and first.kind == SMALL:
            first = same("({0} + {1})", first, literal("i", self.rng.randint(-3, 3)))
        return same("{0} " + sign + " {1}", first, second)

    # Conditions with queries in them: what Expressions asks for.

    def condition(self, outer):
        table = self.table()
        inner = Expressions(self.rng, table.columns)
        kind = self.rng.randrange(4)
        negated = self.rng.choice(["", "NOT "])
        where = []
        if self.chance(0.6):
            where.append(inner.boolean(1))
        if kind == 0:  # x IN (SELECT y …)
            column = self.rng.choice([c for c in table.columns if c.type in "ist"])
            tested = outer.of(column.type, 0) if column.kind != WILD else outer.wild(column.type)
            if self.chance(0.4):
                where.append(self.correlation(outer, table))
            return same(
                "({0} " + negated + "IN (SELECT {1} FROM {2}{3}))",
                tested,
                column,
                table.text,
                self.where(where),
                type="b",
            )
        if kind == 1:
            where.append(self.correlation(outer, table))
            if self.chance(0.3):
                extra = Expressions(self.rng, table.columns + outer.columns)
                where.append(extra.boolean(1))
            return same("(" + negated + "EXISTS (SELECT 1 FROM {0}{1}))", table.text, self.where(where), type="b")
        scalar = self.scalar(outer, table, where)
        if scalar.type not in "iufst":
            return same("({0} IS " + negated + "NULL)", scalar, type="b")
        other = outer.wild(scalar.type) if scalar.kind in (WILD, SPECIAL) else outer.of(scalar.type, 0)
        sign = self.rng.choice(["=", "<", ">=", "<>"])
        return same("({0} " + sign + " {1})", other, scalar, type="b")

    def correlation(self, outer, table):
        """An equality between a column of `table` and one of the query around it."""
        pairs = [
            (a, b)
            for a in table.columns
            for b in outer.columns
            if a.type == b.type and a.type in "isu" and a.kind == b.kind and a.kind != WILD
        ]
        if not pairs:
            return Expressions(self.rng, table.columns).boolean(0)
        return same("({0} = {1})", *self.rng.choice(pairs))

    def scalar(self, outer, table, where):
        inner = Expressions(self.rng, table.columns)
        if self.chance(0.5):
            where = where + [self.correlation(outer, table)]
        aggregate = self.aggregate(inner, exact=True)
        return same(
            "(SELECT {0} FROM {1}{2})",
            aggregate,
            table.text,
            self.where(where),
            type=aggregate.type,
            kind=aggregate.kind,
        )

    def where(self, conditions):
        return same(" WHERE {0}", joined(" AND ", conditions)) if conditions else same("")

    # Aggregates.

    def aggregate(self, draw, exact, filters=True):
        """An aggregate over what `draw` draws; an exact one is never rough."""
        made = self.plain_aggregate(draw, exact)
        if filters and self.chance(0.15):
            made = made._replace(
                **dict(zip(("ours", "theirs"), same("{0} FILTER (WHERE {1})", made, draw.boolean(1))[:2]))
            )
        if made.theirs.startswith("sum("):
            made = self.whole_sum(made)
        elif made.theirs.startswith("median(") and made.type == "i":
            made = made._replace(theirs=f"CAST(trunc({made.theirs}) AS BIGINT)")
        elif made.theirs.startswith("count(DISTINCT") and made.ours.startswith("approx"):
            made = made._replace(theirs=f"CAST({made.theirs} AS UBIGINT)")
        return made

    def whole_sum(self, made):
        """DuckDB's sums of integers are of 128 bits."""
        whole = {"i": "BIGINT", "u": "UBIGINT"}.get(made.type)
        return made._replace(theirs=f"CAST({made.theirs} AS {whole})") if whole else made

    def plain_aggregate(self, draw, exact):
        kind = self.rng.randrange(14 if exact else 18)
        integer = {"type": "i", "kind": SMALL}
        if kind == 0:
            return same("count(*)", **integer)
        if kind == 1:
            return same("count({0})", draw.any(1), **integer)
        if kind == 2:
            return same("count(DISTINCT {0})", draw.any(1), **integer)
        if kind <= 4:
            distinct = self.rng.choice(["", "", "DISTINCT "])
            value = self.rng.choice([draw.integer, draw.double, draw.unsigned])(1)
            return same("sum(" + distinct + "{0})", value, type=value.type, kind=SMALL)
        if kind <= 8:
            value = draw.special() if self.chance(0.2) else draw.any(1)
            return same(self.rng.choice(["min", "max"]) + "({0})", value, type=value.type, kind=value.kind)
        if kind == 9:
            return same(self.rng.choice(["bool_and", "bool_or"]) + "({0})", draw.boolean(1), type="b")
        if kind == 10:
            name = self.rng.choice(["bit_and", "bit_or", "bit_xor"])
            return same(name + "({0})", draw.integer(1), **integer)
        if kind == 11:
            value = draw.integer(0) if self.chance(0.5) else draw.double(1)
            return same("median({0})", value, type=value.type, kind=SMALL)
        if kind == 12:
            return apart("approx_distinct({0})", "count(DISTINCT {0})", draw.any(1, "is"), type="u", kind=SMALL)
        if kind == 13:
            # Of several values that are there equally often, the least.
            value = draw.pick("s", (PLAIN,)) or draw.pick("i", (SMALL,))
            if value is None:  # DuckDB takes ORDER BY a constant for something else
                return same("count(*)", **integer)
            return apart("mode({0})", "mode({0} ORDER BY {0})", value, type=value.type, kind=value.kind)
        rough = {"type": "f", "kind": ROUGH}
        if kind == 14:
            return same(
                "avg(" + self.rng.choice(["", "DISTINCT "]) + "{0})",
                self.rng.choice([draw.integer, draw.double])(1),
                **rough,
            )
        if kind == 15:
            return same("sum({0})" if self.chance(0.7) else "avg({0})", draw.special(), **rough)
        if kind == 16:
            names = ["stddev", "stddev_samp", "stddev_pop", "var_samp", "var_pop"]
            return same(self.rng.choice(names) + "({0})", draw.double(1), **rough)
        return same(
            self.rng.choice(["covar_samp", "covar_pop"]) + "({0}, {1})", draw.double(1), draw.integer(1), **rough
        )

    # Queries.

    def query(self, depth, inner=False):
        kind = self.rng.randrange(12)
        if depth > 0 and kind == 0:
            return self.set_operation(depth, inner)
        if kind <= 3:
            return self.grouped(depth, inner)
        if kind == 4:
            return self.buckets(inner)
        if kind <= 6:
            return self.windowed(depth, inner)
        return self.rows(depth, inner)

    def whole(self):
        """A query as it is asked: perhaps with CTEs before it."""
        named = []
        while self.chance(0.2) and len(named) < 3:
            query = self.query(1, inner=True)
            name = f"w{len(named)}"
            names = [f"{name}_{at}" for at in range(len(query.columns))]
            listed = "(" + ", ".join(names) + ")" if self.chance(0.3) else ""
            columns = [(names[at] if listed else column[0], *column[1:]) for at, column in enumerate(query.columns)]
            named.append(same("{0}{1} AS ({2})", name, listed, query.text))
            self.named.append((name, columns, query.rows))
        query = self.query(self.rng.choice([0, 1, 1, 2]))
        if named:
            query = query._replace(text=same("WITH {0} {1}", joined(", ", named), query.text))
        return query

    def source(self, depth):
        relation = self.relation(depth)
        if self.chance(0.05):
            other = self.table()
            if relation.rows * other.rows <= ROWS_MAX:
                text = same("{0}, {1}", relation.text, other.text)
                relation = Relation(
                    text, relation.columns + other.columns, relation.rows * other.rows, distinct=relation.distinct
                )
        draw = Expressions(self.rng, [column for column in relation.columns if column.kind != ROUGH], self)
        where = []
        if self.chance(0.5):
            where.append(draw.boolean(self.rng.choice([0, 1, 2, 3])))
        return relation, draw, same(" FROM {0}{1}", relation.text, self.where(where))

    def finished(self, text, columns, rows, inner, order=None, limit=True):
        """The query with ORDER BY and perhaps LIMIT. `order` are columns that it must order by first."""
        exact = all(kind != ROUGH for _, _, kind in columns)
        ordered = []
        if self.chance(0.2 if inner else 0.6) or order is not None:
            positions = [at for at in range(len(columns)) if columns[at][2] != ROUGH]
            self.rng.shuffle(positions)
            if order is not None:
                positions = order + [at for at in positions if at not in order]
            limited = limit and exact and self.chance(0.5)
            if not limited and order is None:
                positions = positions[: self.rng.randint(1, 3)]
            keys = []
            for at in positions:
                key, descending, first = self.sort_key(columns[at][0] if self.chance(0.5) else str(at + 1))
                keys.append(key)
                ordered.append((at, descending, first))
            if keys:
                text = same("{0} ORDER BY {1}", text, joined(", ", keys))
            if limited and keys:
                text = same("{0} LIMIT {1}", text, self.rng.choice([0, 1, 2, 5, 10, 100]))
                if self.chance(0.4):
                    text = same("{0} OFFSET {1}", text, self.rng.choice([0, 1, 3, 50]))
        return Query(text, columns, rows, ordered)

    def sort_key(self, key):
        """A key with its direction, whether it descends and whether nulls come first. Nulls come last here unless the
        order descends, and last in any case there."""
        direction, descending = self.rng.choice([("", False), (" ASC", False), (" DESC", True)])
        nulls = self.rng.choice(["", "", " NULLS FIRST", " NULLS LAST"])
        first = nulls == " NULLS FIRST" or nulls == "" and descending
        theirs = " NULLS FIRST" if first else " NULLS LAST"
        return apart("{0}" + direction + nulls, "{0}" + direction + theirs, key), descending, first

    def named_items(self, items):
        # Names that no other column has: what stands behind them could mean either.
        names = []
        for _ in items:
            self.names += 1
            names.append(f"c{self.names}")
        listed = joined(", ", [same("{0} AS {1}", item, name) for item, name in zip(items, names)])
        return listed, [(name, item.type, item.kind) for item, name in zip(items, names)]

    def item(self, draw, inner):
        if not inner and self.chance(0.1):
            return draw.rough(2)
        if self.chance(0.4) and draw.columns:
            return self.rng.choice(draw.columns)
        if self.chance(0.08):
            return self.scalar(draw, self.table(), [])
        return draw.any(self.rng.choice([0, 1, 2, 3]))

    def rows(self, depth, inner):
        relation, draw, source = self.source(depth)
        items = [self.item(draw, inner) for _ in range(self.rng.randint(1, 5))]
        listed, columns = self.named_items(items)
        kind = self.rng.random()
        if kind < 0.15 and all(item.kind != ROUGH for item in items):
            return self.finished(same("SELECT DISTINCT {0}{1}", listed, source), columns, relation.rows, inner)
        if kind < 0.25 and all(item.kind != ROUGH for item in items):
            count = self.rng.randint(1, len(items))
            on = self.rng.sample(range(len(items)), count)
            text = same("SELECT DISTINCT ON ({0}) {1}{2}", ", ".join(columns[at][0] for at in on), listed, source)
            return self.finished(text, columns, relation.rows, inner, order=on)
        text = same("SELECT {0}{1}", listed, source)
        exact = [column for column in relation.columns if column.kind != ROUGH]
        if not inner and len(exact) == len(relation.columns) and kind < 0.5:
            # By columns that need not be shown: all of them, so that what is tied is alike.
            first = self.rng.sample(exact, min(len(exact), 2))
            keys = [self.sort_key(key)[0] for key in first + [key for key in exact if key not in first]]
            text = same("{0} ORDER BY {1}", text, joined(", ", keys))
            if self.chance(0.7):
                text = same("{0} LIMIT {1}", text, self.rng.choice([1, 3, 10, 100]))
            if self.chance(0.3):
                text = same("{0} OFFSET {1}", text, self.rng.choice([1, 5, 40]))
            return Query(text, columns, relation.rows, [], True)
        return self.finished(text, columns, relation.rows, inner)

    def grouped(self, depth, inner):
        relation, draw, source = self.source(depth)
        plain = Expressions(self.rng, draw.columns)  # GROUP BY and the arguments of aggregates take no subqueries
        keys = []
        for _ in range(self.rng.choice([0, 1, 1, 1, 2, 3])):
            key = self.rng.choice(draw.columns) if self.chance(0.6) else plain.any(self.rng.choice([1, 2]))
            if key.ours not in [other.ours for other in keys] and key.ours[0] not in "'(0123456789CT":
                keys.append(key)
        aggregates = [self.aggregate(plain, exact=inner) for _ in range(self.rng.randint(1 if not keys else 0, 4))]
        kind = self.rng.random() if keys else 1.0
        text = joined(", ", keys)
        extra = []
        if kind < 0.3 and self.chance(0.5):
            extra = [apart("grouping({0})", "CAST(grouping({0}) AS BIGINT)", text, type="i", kind=SMALL)]
        over = Expressions(self.rng, [item for item in aggregates if item.kind != ROUGH])
        items = keys + aggregates + extra
        if over.columns and self.chance(0.3):
            items.append(over.any(2))
        listed, columns = self.named_items(items)
        if kind < 0.1:
            group = same(" GROUP BY ROLLUP({0})", text)
        elif kind < 0.2:
            group = same(" GROUP BY CUBE({0})", text)
        elif kind < 0.3:
            sets = []
            for _ in range(self.rng.randint(1, 4)):
                chosen = self.rng.sample(keys, self.rng.randint(0, len(keys)))
                sets.append(same("({0})", joined(", ", chosen)))
            # DuckDB demands that each key is in some set.
            sets.append(same("({0})", text))
            group = same(" GROUP BY GROUPING SETS ({0})", joined(", ", sets))
        elif kind < 0.5:
            group = same(" GROUP BY {0}", ", ".join(str(at + 1) for at in range(len(keys))))
        elif kind < 0.6:
            group = same(" GROUP BY {0}", ", ".join(name for name, _, _ in columns[: len(keys)]))
        else:
            group = same(" GROUP BY {0}", text) if keys else same("")
        having = same("")
        if self.chance(0.25) and over.columns:
            having = same(" HAVING {0}", over.boolean(1))
        text = same("SELECT {0}{1}{2}{3}", listed, source, group, having)
        return self.finished(text, columns, relation.rows if keys else 1, inner)

    def buckets(self, inner):
        """What is asked of series day by day: plain aggregates of columns by tags and buckets of time, over some of the
        tags and a range of time."""
        table = self.table()
        draw = Expressions(self.rng, table.columns)
        time, host, rack = table.columns[:3]
        keys = [key for key in (host, rack) if self.chance(0.5)]
        whole_series = len(keys) == 2
        if self.chance(0.6):
            count, unit = self.rng.choice([1, 5, 7, 30]), self.rng.choice(["second", "minute", "hour", "day"])
            keys.insert(self.rng.randint(0, len(keys)), draw.bucket(count, unit, time))
        items = []
        for _ in range(self.rng.randint(1, 4)):
            name = self.rng.choice(["count", "sum", "min", "max", "avg", "first", "last"])
            if name in ("first", "last") and whole_series:
                value = self.rng.choice(table.columns[3:])
                theirs = "arg_min" if name == "first" else "arg_max"
                items.append(
                    apart(name + "({1}, {0})", theirs + "({0}, {1})", value, time, type=value.type, kind=value.kind)
                )
            elif name in ("sum", "avg", "first"):
                value = self.rng.choice(
                    [column for column in table.columns if column.kind == SMALL and column.type in "iuf"]
                )
                if name == "avg" and not inner:
                    items.append(same("avg({0})", value, type="f", kind=ROUGH))
                else:
                    items.append(self.whole_sum(same("sum({0})", value, type=value.type, kind=SMALL)))
            elif name == "count":
                items.append(same("count({0})", self.rng.choice(["*"] + table.columns), type="i", kind=SMALL))
            else:
                value = self.rng.choice([column for column in table.columns if column.type != "t" or self.chance(0.3)])
                name = "min" if name == "min" else "max"
                items.append(same(name + "({0})", value, type=value.type, kind=value.kind))
        where = []
        if self.chance(0.5):
            where.append(self.rng.choice([draw.of_tag(host), draw.of_tag(rack)]))
        if self.chance(0.6):
            where.append(draw.of_time(time))
        if self.chance(0.3):
            where.append(draw.boolean(1))
        listed, columns = self.named_items(keys + items)
        group = same(" GROUP BY {0}", joined(", ", keys)) if keys else same("")
        text = same("SELECT {0} FROM {1}{2}{3}", listed, table.text, self.where(where), group)
        return self.finished(text, columns, table.rows if keys else 1, inner)

    def windowed(self, depth, inner):
        relation, draw, source = self.source(depth)
        plain = Expressions(self.rng, draw.columns)
        items = [self.rng.choice(draw.columns) for _ in range(self.rng.randint(1, 3))]
        calls = []
        for _ in range(self.rng.randint(1, 3)):
            # Rows that are alike are told apart by one call, and by several in ways that need not go together.
            calls.append(self.call(plain, relation, inner, total=relation.distinct or not calls))
        qualify = same("")
        exact = [call for call in calls if call.kind != ROUGH]
        if exact and self.chance(0.3):
            qualify = same(" QUALIFY {0}", Expressions(self.rng, exact + items).boolean(1))
        if exact and self.chance(0.3):
            items.append(Expressions(self.rng, exact).any(1))
        listed, columns = self.named_items(items + calls)
        return self.finished(same("SELECT {0}{1}{2}", listed, source, qualify), columns, relation.rows, inner)

    def call(self, draw, relation, inner, total):
        """A function of a window. Where ties would decide, the order ends with all columns of the relation."""
        whole = [column for column in relation.columns if column.kind != ROUGH]
        total = total and len(whole) == len(relation.columns)
        partition = [
            self.rng.choice(whole) if self.chance(0.7) else draw.any(1) for _ in range(self.rng.choice([0, 1, 1, 2]))
        ]
        partition = [key for key in partition if key.ours[0] not in "'(0123456789CT"]
        frame, order = same(""), []
        kind = self.rng.randrange(10)
        ranked = kind == 0
        if ranked:
            name, type = self.rng.choice(
                [("rank", "u"), ("dense_rank", "u"), ("percent_rank", "f"), ("cume_dist", "f")]
            )
            function = apart(
                name + "()",
                f"CAST({name}()" if type == "u" else name + "()",
                type=type,
                kind=ROUGH if type == "f" else SMALL,
            )
            order = self.keys(draw, self.rng.randint(1, 2))
        elif kind <= 2 and total:
            which = self.rng.randrange(2)
            function = same("row_number()" if which else f"ntile({self.rng.randint(1, 5)})", type="u", kind=SMALL)
            order = self.keys(draw, 1) + self.everything(whole)
        elif kind <= 4 and total:
            value = draw.any(1)
            name = self.rng.choice(["lag", "lead"])
            shape = self.rng.randrange(3)
            ignored = self.rng.choice(["", "", " IGNORE NULLS"])
            if shape == 0:
                inside = same("{0}", value)
            elif shape == 1:
                inside = same("{0}, {1}", value, self.rng.randint(0, 4))
            else:
                fallback = draw.wild(value.type) if value.kind == WILD else literal(value.type, None)
                inside = same("{0}, {1}, {2}", value, self.rng.randint(0, 4), fallback)
            function = same(name + "({0}" + ignored + ")", inside, type=value.type, kind=value.kind)
            order = self.keys(draw, 1) + self.everything(whole)
        else:
            function, order, frame = self.framed(draw, whole, total, inner)
        parts = []
        if partition:
            parts.append(same("PARTITION BY {0}", joined(", ", partition)))
        if order:
            parts.append(same("ORDER BY {0}", joined(", ", order)))
        if frame.ours:
            parts.append(frame)
        # What numbers rows is BIGINT UNSIGNED here, BIGINT there, and a sum of integers has 128 bits there.
        over = same("{0} OVER ({1})", function, joined(" ", parts), type=function.type, kind=function.kind)
        if ranked or function.ours.startswith(("row_number", "ntile")):
            bare = function.theirs.removeprefix("CAST(")
            if function.type == "u":
                over = over._replace(theirs=f"CAST({bare} OVER ({joined(' ', parts).theirs}) AS UBIGINT)")
        elif function.ours.startswith("sum(") and function.type in "iu":
            over = over._replace(theirs=f"CAST({over.theirs} AS {'BIGINT' if function.type == 'i' else 'UBIGINT'})")
        return over

    def keys(self, draw, count):
        return [
            self.sort_key(
                draw.any(1, "iufst") if self.chance(0.3) or not draw.columns else self.rng.choice(draw.columns)
            )[0]
            for _ in range(count)
        ]

    def everything(self, columns):
        return [self.sort_key(column)[0] for column in columns]

    def framed(self, draw, whole, total, inner):
        """An aggregate, first_value, last_value or nth_value with a frame: (function, order, frame)."""
        unit = self.rng.choice(["ROWS", "RANGE", "GROUPS"])
        chosen = self.rng.random()
        if chosen < 0.3 and total and unit == "ROWS":
            value = draw.any(1)
            name = self.rng.choice(
                ["first_value({0}", "last_value({0}", "nth_value({0}, " + str(self.rng.randint(1, 3))]
            )
            ignored = self.rng.choice(["", " IGNORE NULLS"])
            function = same(name + ignored + ")", value, type=value.type, kind=value.kind)
        else:
            function = self.window_aggregate(draw, inner)
        if unit == "ROWS":
            if not total:
                return function, [], same("")
            order = self.keys(draw, 1) + self.everything(whole)
        elif unit == "GROUPS":
            order = self.keys(draw, self.rng.randint(1, 2))
        else:
            key = draw.pick("i", (SMALL,)) or draw.pick("f", (SMALL,)) or draw.integer(1)
            if self.chance(0.3):
                key = draw.pick("t", (PLAIN,)) or key
            order = [self.sort_key(key)[0]]
        if self.chance(0.15):
            return function, order, same("")  # the frame that stands where none is written
        distance = lambda: str(self.rng.randint(0, 4))
        if unit == "RANGE" and key.type == "t":
            distance = lambda: f"INTERVAL '{self.rng.randint(0, 100)} minute'"
        borders = []
        for at in range(2):
            borders.append(
                self.rng.choice(
                    [
                        (0, "UNBOUNDED PRECEDING") if at == 0 else (4, "UNBOUNDED FOLLOWING"),
                        (1, distance() + " PRECEDING"),
                        (2, "CURRENT ROW"),
                        (3, distance() + " FOLLOWING"),
                    ]
                )
            )
        if borders[0][0] > borders[1][0]:
            borders.reverse()
        if borders[0][0] == 4 or borders[1][0] == 0:
            borders = [(0, "UNBOUNDED PRECEDING"), (2, "CURRENT ROW")]
        frame = same(f"{unit} BETWEEN {borders[0][1]} AND {borders[1][1]}")
        if borders[0][0] <= 2 and borders[1][0] == 2 and self.chance(0.3):
            frame = same(f"{unit} {borders[0][1]}")
        return function, order, frame

    def window_aggregate(self, draw, inner):
        kind = self.rng.randrange(8 if inner else 10)
        if kind == 0:
            return same("count(*)", type="i", kind=SMALL)
        if kind == 1:
            return same("count({0})", draw.any(1), type="i", kind=SMALL)
        if kind <= 4:
            value = self.rng.choice([draw.integer, draw.double, draw.unsigned])(1)
            return same("sum({0})", value, type=value.type, kind=SMALL)
        if kind <= 7:
            value = draw.special() if self.chance(0.3) else draw.any(1)
            return same(self.rng.choice(["min", "max"]) + "({0})", value, type=value.type, kind=value.kind)
        if kind == 8:
            return same("sum({0})" if self.chance(0.5) else "avg({0})", draw.special(), type="f", kind=ROUGH)
        return same("avg({0})", draw.double(1), type="f", kind=ROUGH)

    def set_operation(self, depth, inner):
        types = [self.rng.choice("iufbst") for _ in range(self.rng.randint(1, 3))]
        sides, rows, names, kinds = [], 0, [], [SMALL] * len(types)
        for _ in range(self.rng.choice([2, 2, 3])):
            relation, draw, source = self.source(depth - 1)
            items = [
                draw.wild(type) if type in "iuf" and self.chance(0.2) else draw.of(type, self.rng.choice([0, 1]))
                for type in types
            ]
            listed, columns = self.named_items(items)
            names = names or [name for name, _, _ in columns]
            kinds = [max(old, new[2], key=[SMALL, PLAIN, SPECIAL, WILD].index) for old, new in zip(kinds, columns)]
            sides.append(same("SELECT {0}{1}", listed, source))
            rows += relation.rows
        text = sides[0]
        for side in sides[1:]:
            word = self.rng.choice(["UNION", "UNION ALL", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"])
            text = same("{0} " + word + " {1}", text, side)
        columns = [(name, type, kind) for name, type, kind in zip(names, types, kinds)]
        return self.finished(text, columns, rows, inner)
