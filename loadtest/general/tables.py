"""The tables of the general set, made from a seed: a log of web requests, processors of hosts, trucks on the road, and
a star of orders and what belongs to them. Each is an Arrow table, and the names of those columns that are tags."""

import random

import pyarrow

START_NS = 1_700_000_000_000_000_000
WORDS = "red blue amber green slate ivory coral olive plum teal navy rust sand mint lime onyx pearl ruby".split()
THINGS = "bolt gear valve pump rotor shaft panel cable lens motor frame wheel hinge brace duct hose".split()


def column(values, kind):
    return pyarrow.array(values, {"i": pyarrow.int64(), "f": pyarrow.float64(), "s": pyarrow.string()}[kind])


def table(times, tags, **fields):
    """A table of `time`, the tags and the fields, each field a pair of its kind and its values."""
    arrays = {"time": pyarrow.array(times, pyarrow.timestamp("ns"))}
    arrays |= {name: column(values, "s") for name, values in tags.items()}
    arrays |= {name: column(values, kind) for name, (kind, values) in fields.items()}
    return pyarrow.table(arrays), list(tags)


def requests(rows, rng):
    users = max(rows // 20, 10)
    # Few users ask much: the square of an even share.
    user = [int(rng.random() ** 3 * users) + 1_000_000 for _ in range(rows)]
    pages = [f"/{rng.choice(WORDS)}/{rng.choice(THINGS)}/{at % 997}" for at in range(max(rows // 50, 10))]
    hosts = [f"{rng.choice(WORDS)}-{rng.choice(THINGS)}.example" for _ in range(300)]
    url = [
        "https://shop.example" + rng.choice(pages) + ("?google=1" if rng.random() < 0.02 else "") for _ in range(rows)
    ]
    referer = ["" if rng.random() < 0.4 else f"https://www.{rng.choice(hosts)}{rng.choice(pages)}" for _ in range(rows)]
    phrases = [f"{rng.choice(WORDS)} {rng.choice(THINGS)} {at % 311}" for at in range(max(rows // 100, 10))]
    phrase = ["" if rng.random() < 0.8 else phrases[int(rng.random() ** 2 * len(phrases))] for _ in range(rows)]
    return table(
        [START_NS + at * 250_000_000 for at in range(rows)],
        {
            "site": [f"site{int(rng.random() ** 2 * 12)}" for _ in range(rows)],
            "country": [f"country{int(rng.random() ** 2 * 40)}" for _ in range(rows)],
        },
        user_id=("i", user),
        url=("s", url),
        referer=("s", referer),
        phrase=("s", phrase),
        title=(
            "s",
            [
                f"{rng.choice(WORDS)} {rng.choice(THINGS)}" + (" Google" if rng.random() < 0.01 else "")
                for _ in range(rows)
            ],
        ),
        model=("s", ["" if rng.random() < 0.9 else f"phone {rng.randrange(60)}" for _ in range(rows)]),
        mobile=("i", [rng.randrange(2) for _ in range(rows)]),
        engine=("i", [0 if rng.random() < 0.9 else rng.randrange(1, 30) for _ in range(rows)]),
        region=("i", [int(rng.random() ** 2 * 3000) for _ in range(rows)]),
        width=("i", [rng.choice([360, 414, 768, 1024, 1280, 1366, 1440, 1920]) for _ in range(rows)]),
        height=("i", [rng.choice([640, 736, 800, 900, 1080]) for _ in range(rows)]),
        refresh=("i", [int(rng.random() < 0.1) for _ in range(rows)]),
        traffic=("i", [rng.randrange(-1, 8) for _ in range(rows)]),
        took=("i", [int(rng.expovariate(0.01)) for _ in range(rows)]),
    )


def cpu(rows, rng):
    hosts = 500
    ticks = -(-rows // hosts)
    of_host = [(f"host{at}", f"region{rng.randrange(9)}", f"team{rng.randrange(4)}") for at in range(hosts)]
    which = [of_host[at % hosts] for at in range(rows)]
    assert ticks * hosts >= rows
    return table(
        [START_NS + at // hosts * 10_000_000_000 for at in range(rows)],
        {
            "hostname": [host for host, _, _ in which],
            "area": [area for _, area, _ in which],
            "team": [team for _, _, team in which],
        },
        usage_user=("i", [rng.randrange(101) for _ in range(rows)]),
        usage_system=("i", [rng.randrange(101) for _ in range(rows)]),
        usage_idle=("i", [rng.randrange(101) for _ in range(rows)]),
        load=("f", [rng.randrange(400) / 16 for _ in range(rows)]),
    )


def readings(rows, rng):
    trucks = 300
    of_truck = [
        (f"truck{at}", rng.choice(["north", "south", "east", "west"]), f"model{rng.randrange(3)}")
        for at in range(trucks)
    ]
    which = [of_truck[at % trucks] for at in range(rows)]
    return table(
        [START_NS + at // trucks * 30_000_000_000 for at in range(rows)],
        {
            "name": [name for name, _, _ in which],
            "fleet": [fleet for _, fleet, _ in which],
            "model": [model for _, _, model in which],
        },
        velocity=("f", [rng.randrange(0, 480) / 4 for _ in range(rows)]),
        fuel=("f", [rng.randrange(0, 64) / 64 for _ in range(rows)]),
        burden=("i", [rng.randrange(5000) for _ in range(rows)]),
        status=("s", [rng.choice(["ok", "ok", "ok", "low tyre", "hot", "door open"]) for _ in range(rows)]),
    )


def star(orders_count, rng):
    """Orders and their lines, clients, suppliers, parts, what suppliers offer, nations and regions. Days are counted as
    BIGINT: a table has one column of time."""
    regions = ["africa", "america", "asia", "europe", "orient"]
    nations = [f"nation{at}" for at in range(25)]
    clients, suppliers, parts = (
        max(orders_count // 10, 10),
        max(orders_count // 150, 10),
        max(orders_count * 2 // 15, 20),
    )
    part_price = [900 + at % 1000 / 4 for at in range(parts)]
    placed = [rng.randrange(2400) for _ in range(orders_count)]
    lines = {
        name: [] for name in "order_no part_no supplier_no quantity price discount tax shipped due received".split()
    }
    tags = {name: [] for name in ("mode", "flag", "state")}
    handling, totals, states = [], [], []
    for order in range(orders_count):
        total, open_lines, count = 0.0, 0, rng.randint(1, 7)
        for _ in range(count):
            part, quantity = rng.randrange(parts), rng.randint(1, 50)
            shipped = placed[order] + rng.randint(1, 121)
            received = shipped + rng.randint(1, 30)
            for name, value in zip(
                lines,
                (
                    order,
                    part,
                    (part + rng.randrange(4) * (suppliers // 4 + 1)) % suppliers,
                    float(quantity),
                    quantity * part_price[part],
                    rng.randrange(11) / 100,
                    rng.randrange(9) / 100,
                    shipped,
                    placed[order] + rng.randint(30, 90),
                    received,
                ),
            ):
                lines[name].append(value)
            total += lines["price"][-1]
            is_open = shipped > 1260
            open_lines += is_open
            tags["mode"].append(rng.choice(["air", "fob", "mail", "rail", "air reg", "ship", "truck"]))
            tags["flag"].append(rng.choice("AR") if received <= 1260 else "N")
            tags["state"].append("O" if is_open else "F")
            handling.append(rng.choice(["in person", "collect", "none", "take back"]))
        totals.append(total)
        states.append("O" if open_lines == count else "F" if open_lines == 0 else "P")

    def times(count):
        return [START_NS + at * 1000 for at in range(count)]

    def remark(odd, share):
        return f"{rng.choice(WORDS)} {odd if rng.random() < share else rng.choice(THINGS)} {rng.choice(WORDS)}"

    no_tags = lambda count: {"kind_of_row": ["r"] * count}
    count = len(handling)
    return {
        "deliveries": table(
            times(count),
            tags,
            **{name: ("f" if isinstance(values[0], float) else "i", values) for name, values in lines.items()},
            handling=("s", handling),
        ),
        "orders": table(
            times(orders_count),
            {"urgency": [f"{rng.randint(1, 5)}-urgent" for _ in range(orders_count)]},
            order_no=("i", range(orders_count)),
            # A third of the clients never orders.
            client_no=("i", [rng.randrange(clients) // 3 * 3 + rng.randrange(2) for _ in range(orders_count)]),
            state=("s", states),
            total=("f", totals),
            placed=("i", placed),
            remark=("s", [remark("special requests", 0.02) for _ in range(orders_count)]),
        ),
        "clients": table(
            times(clients),
            {"segment": [rng.choice(["autos", "building", "furniture", "house", "machines"]) for _ in range(clients)]},
            client_no=("i", range(clients)),
            client=("s", [f"client {at}" for at in range(clients)]),
            nation_no=("i", [rng.randrange(25) for _ in range(clients)]),
            phone=("s", [f"{10 + rng.randrange(25)}-{rng.randrange(10**7):07}" for _ in range(clients)]),
            balance=("f", [rng.randrange(-4000, 40000) / 4 for _ in range(clients)]),
        ),
        "suppliers": table(
            times(suppliers),
            no_tags(suppliers),
            supplier_no=("i", range(suppliers)),
            supplier=("s", [f"supplier {at}" for at in range(suppliers)]),
            nation_no=("i", [at % 25 for at in range(suppliers)]),
            balance=("f", [rng.randrange(-4000, 40000) / 4 for _ in range(suppliers)]),
            remark=("s", [remark("complaints of customers", 0.02) for _ in range(suppliers)]),
        ),
        "parts": table(
            times(parts),
            {"brand": [f"brand{rng.randint(1, 5)}{rng.randint(1, 5)}" for _ in range(parts)]},
            part_no=("i", range(parts)),
            part=("s", [f"{rng.choice(WORDS)} {rng.choice(THINGS)}" for _ in range(parts)]),
            finish=(
                "s",
                [
                    f"{rng.choice(['large', 'small', 'promo', 'standard'])} {rng.choice(['plated', 'brushed'])} "
                    f"{rng.choice(['brass', 'tin', 'steel', 'copper'])}"
                    for _ in range(parts)
                ],
            ),
            size=("i", [rng.randint(1, 50) for _ in range(parts)]),
            container=(
                "s",
                [
                    f"{rng.choice(['sm', 'med', 'lg', 'jumbo'])} {rng.choice(['box', 'bag', 'case', 'jar'])}"
                    for _ in range(parts)
                ],
            ),
        ),
        "offers": table(
            times(parts * 4),
            no_tags(parts * 4),
            part_no=("i", [at // 4 for at in range(parts * 4)]),
            supplier_no=("i", [(at // 4 + at % 4 * (suppliers // 4 + 1)) % suppliers for at in range(parts * 4)]),
            available=("i", [rng.randint(1, 9999) for _ in range(parts * 4)]),
            cost=("f", [rng.randrange(4, 4000) / 4 for _ in range(parts * 4)]),
        ),
        "nations": table(
            times(25), {"nation": nations}, nation_no=("i", range(25)), region_no=("i", [at % 5 for at in range(25)])
        ),
        "regions": table(times(5), {"region_name": regions}, region_no=("i", range(5))),
    }


def made(rows, seed):
    rng = random.Random(seed)
    tables = {"requests": requests(rows, rng), "cpu": cpu(rows, rng), "readings": readings(rows, rng)}
    return tables | star(rows * 15 // 100, rng)
