"""The queries of the general set. Each is a text with `{minute}` and the like for what the dialects name differently
(`general.py` says what); all are ordered so far that the answer is one, or compared without order."""

# Over a table like a log of web requests: the shapes of ClickBench.
WIDE = {
    "count": "SELECT count(*) FROM requests",
    "count-filtered": "SELECT count(*) FROM requests WHERE engine <> 0",
    "aggregates": "SELECT sum(refresh), count(*), avg(width) FROM requests",
    "average": "SELECT avg(user_id) FROM requests",
    "distinct-integers": "SELECT count(DISTINCT user_id) FROM requests",
    "distinct-texts": "SELECT count(DISTINCT phrase) FROM requests",
    "extent": "SELECT min(time), max(time) FROM requests",
    "few-groups": "SELECT engine, count(*) AS n FROM requests WHERE engine <> 0 GROUP BY engine ORDER BY n DESC, "
    "engine",
    "distinct-by-region": "SELECT region, count(DISTINCT user_id) AS u FROM requests GROUP BY region ORDER BY u "
    "DESC, region LIMIT 10",
    "mixed-by-region": "SELECT region, sum(refresh), count(*) AS n, avg(width), count(DISTINCT user_id) FROM "
    "requests "
    "GROUP BY region ORDER BY n DESC, region LIMIT 10",
    "distinct-by-model": "SELECT model, count(DISTINCT user_id) AS u FROM requests WHERE model <> '' GROUP BY model "
    "ORDER BY u DESC, model LIMIT 10",
    "distinct-by-two": "SELECT mobile, model, count(DISTINCT user_id) AS u FROM requests WHERE model <> '' "
    "GROUP BY mobile, model ORDER BY u DESC, mobile, model LIMIT 10",
    "phrases": "SELECT phrase, count(*) AS n FROM requests WHERE phrase <> '' GROUP BY phrase ORDER BY n DESC, "
    "phrase LIMIT 10",
    "phrases-distinct": "SELECT phrase, count(DISTINCT user_id) AS u FROM requests WHERE phrase <> '' GROUP BY "
    "phrase "
    "ORDER BY u DESC, phrase LIMIT 10",
    "engine-phrase": "SELECT engine, phrase, count(*) AS n FROM requests WHERE phrase <> '' GROUP BY engine, phrase "
    "ORDER BY n DESC, engine, phrase LIMIT 10",
    "users": "SELECT user_id, count(*) AS n FROM requests GROUP BY user_id ORDER BY n DESC, user_id LIMIT 10",
    "user-phrase": "SELECT user_id, phrase, count(*) AS n FROM requests GROUP BY user_id, phrase "
    "ORDER BY n DESC, user_id, phrase LIMIT 10",
    "user-phrase-any": "SELECT user_id, phrase, count(*) FROM requests GROUP BY user_id, phrase ORDER BY user_id, "
    "phrase LIMIT 10",
    "user-minute-phrase": "SELECT user_id, extract(minute FROM time) AS m, phrase, count(*) AS n FROM requests "
    "GROUP BY user_id, m, phrase ORDER BY n DESC, user_id, m, phrase LIMIT 10",
    "one-user": "SELECT user_id, time FROM requests WHERE user_id = 1000435",
    "like-count": "SELECT count(*) FROM requests WHERE url LIKE '%google%'",
    "like-groups": "SELECT phrase, min(url), count(*) AS n FROM requests WHERE url LIKE '%google%' AND phrase <> '' "
    "GROUP BY phrase ORDER BY n DESC, phrase LIMIT 10",
    "like-both": "SELECT phrase, min(url), min(title), count(*) AS n, count(DISTINCT user_id) FROM requests "
    "WHERE title LIKE '%Google%' AND url NOT LIKE '%.google%' AND phrase <> '' GROUP BY phrase ORDER BY n DESC, "
    "phrase LIMIT 10",
    "like-rows": "SELECT * FROM requests WHERE url LIKE '%google%' ORDER BY time LIMIT 10",
    "phrases-by-time": "SELECT phrase FROM requests WHERE phrase <> '' ORDER BY time LIMIT 10",
    "phrases-sorted": "SELECT phrase FROM requests WHERE phrase <> '' ORDER BY phrase LIMIT 10",
    "phrases-by-time-and-text": "SELECT phrase FROM requests WHERE phrase <> '' ORDER BY time, phrase LIMIT 10",
    "lengths": "SELECT region, avg(length(url)) AS l, count(*) AS n FROM requests WHERE url <> '' GROUP BY region "
    "HAVING count(*) > 200 ORDER BY l DESC, region LIMIT 25",
    "domains": "SELECT regexp_replace(referer, '^https?://(?:www\\.)?([^/]+)/.*$', '\\1') AS k, "
    "avg(length(referer)) AS l, "
    "count(*) AS n, min(referer) FROM requests WHERE referer <> '' GROUP BY k HAVING count(*) > 500 ORDER BY l "
    "DESC, k LIMIT 25",
    "ninety-sums": "SELECT " + ", ".join(f"sum(width + {add})" for add in range(90)) + " FROM requests",
    "engine-region": "SELECT engine, region, count(*) AS n, sum(refresh), avg(width) FROM requests WHERE phrase <> "
    "'' "
    "GROUP BY engine, region ORDER BY n DESC, engine, region LIMIT 10",
    "user-region": "SELECT user_id, region, count(*) AS n, sum(refresh), avg(width) FROM requests WHERE phrase <> '' "
    "GROUP BY user_id, region ORDER BY n DESC, user_id, region LIMIT 10",
    "user-region-all": "SELECT user_id, region, count(*) AS n, sum(refresh), avg(width) FROM requests "
    "GROUP BY user_id, region ORDER BY n DESC, user_id, region LIMIT 10",
    "urls": "SELECT url, count(*) AS n FROM requests GROUP BY url ORDER BY n DESC, url LIMIT 10",
    "constant-key": "SELECT 1 AS one, url, count(*) AS n FROM requests GROUP BY one, url ORDER BY n DESC, url "
    "LIMIT 10",
    "computed-keys": "SELECT region, region - 1 AS a, region - 2 AS b, region - 3 AS c, count(*) AS n FROM requests "
    "GROUP BY region, a, b, c ORDER BY n DESC, region LIMIT 10",
    "site-urls": "SELECT url, count(*) AS n FROM requests WHERE site = 'site3' AND time >= {hour_1} AND time < "
    "{hour_20} "
    "AND refresh = 0 AND url <> '' GROUP BY url ORDER BY n DESC, url LIMIT 10",
    "site-titles": "SELECT title, count(*) AS n FROM requests WHERE site = 'site3' AND time >= {hour_1} AND time < "
    "{hour_20} "
    "AND refresh = 0 AND title <> '' GROUP BY title ORDER BY n DESC, title LIMIT 10",
    "site-offset": "SELECT url, count(*) AS n FROM requests WHERE site = 'site3' AND time >= {hour_1} AND time < "
    "{hour_20} "
    "AND mobile = 1 GROUP BY url ORDER BY n DESC, url LIMIT 10 OFFSET 100",
    "site-case": "SELECT traffic, engine, CASE WHEN engine = 0 AND traffic = 0 THEN referer ELSE '' END AS src, url, "
    "count(*) AS n FROM requests WHERE site = 'site3' AND time >= {hour_1} AND time < {hour_20} AND refresh = 0 "
    "GROUP BY traffic, engine, src, url ORDER BY n DESC, traffic, engine, src, url LIMIT 10 OFFSET 100",
    "site-days": "SELECT user_id, {day} AS d, count(*) AS n FROM requests WHERE site = 'site3' AND traffic IN (-1, "
    "6) "
    "GROUP BY user_id, d ORDER BY n DESC, user_id, d LIMIT 10 OFFSET 10",
    "site-windows": "SELECT width, height, count(*) AS n FROM requests WHERE site = 'site3' AND time >= {hour_1} "
    "AND time < {hour_20} AND refresh = 0 GROUP BY width, height ORDER BY n DESC, width, height LIMIT 10 OFFSET 5",
    "site-minutes": "SELECT {minute} AS m, count(*) FROM requests WHERE site = 'site3' AND time >= {hour_1} "
    "AND time < {hour_20} AND refresh = 0 GROUP BY m ORDER BY m LIMIT 10 OFFSET 100",
}

# Over processors and trucks: what is asked of series.
SERIES = {
    "cpu-hours": "SELECT area, {hour} AS h, avg(usage_user), max(usage_system) FROM cpu GROUP BY area, h ORDER BY "
    "area, h",
    "cpu-hosts": "SELECT hostname, avg(usage_user + usage_system) AS busy FROM cpu GROUP BY hostname ORDER BY busy "
    "DESC, hostname LIMIT 10",
    "cpu-quantiles": "SELECT team, median(usage_user), stddev(load) FROM cpu GROUP BY team ORDER BY team",
    "cpu-over-mean": "SELECT count(*) FROM cpu JOIN (SELECT hostname AS h, avg(usage_user) AS a FROM cpu GROUP BY "
    "hostname) AS m "
    "ON cpu.hostname = m.h WHERE usage_user > a + 40",
    "cpu-changes": "SELECT hostname, max(d) FROM (SELECT hostname, load - lag(load) OVER (PARTITION BY hostname "
    "ORDER BY time) "
    "AS d FROM cpu WHERE area = 'region3') AS c GROUP BY hostname ORDER BY hostname",
    "cpu-moving": "SELECT max(a) FROM (SELECT avg(load) OVER (PARTITION BY hostname ORDER BY time ROWS BETWEEN 5 "
    "PRECEDING "
    "AND CURRENT ROW) AS a FROM cpu WHERE area = 'region3') AS m",
    "cpu-newest": "SELECT hostname, usage_user FROM cpu WHERE team = 'team1' QUALIFY row_number() OVER (PARTITION "
    "BY hostname "
    "ORDER BY time DESC) = 1 ORDER BY hostname",
    "trucks-low": "SELECT name, count(*) AS n FROM readings WHERE fuel < 0.1 AND status <> 'ok' GROUP BY name "
    "ORDER BY n DESC, name LIMIT 10",
    "trucks-rollup": "SELECT fleet, model, avg(velocity), max(burden) FROM readings GROUP BY ROLLUP(fleet, model)",
    "trucks-status": "SELECT fleet, status, count(*), avg(velocity) FROM readings GROUP BY fleet, status ORDER BY "
    "fleet, status",
    "trucks-still": "SELECT name, {hour} AS h FROM readings GROUP BY name, h HAVING avg(velocity) < 45 ORDER BY "
    "name, h",
    "trucks-top": "SELECT name, time, velocity FROM readings ORDER BY velocity DESC, burden DESC, time, name LIMIT "
    "20",
}

# Over the star: the shapes of TPC-H.
STAR = {
    "s1-pricing": "SELECT flag, state, sum(quantity), sum(price), sum(price * (1 - discount)), "
    "sum(price * (1 - discount) * (1 + tax)), avg(quantity), avg(price), avg(discount), count(*) FROM deliveries "
    "WHERE shipped <= 2430 GROUP BY flag, state ORDER BY flag, state",
    "s2-cheapest": "SELECT balance, supplier, nation, p.part_no FROM parts AS p, suppliers AS s, offers AS o, "
    "nations AS n, "
    "regions AS r WHERE p.part_no = o.part_no AND s.supplier_no = o.supplier_no AND size = 15 AND finish LIKE "
    "'%brass' "
    "AND s.nation_no = n.nation_no AND n.region_no = r.region_no AND region_name = 'europe' AND cost = (SELECT "
    "min(cost) "
    "FROM offers AS o2, suppliers AS s2, nations AS n2, regions AS r2 WHERE p.part_no = o2.part_no AND "
    "s2.supplier_no = "
    "o2.supplier_no AND s2.nation_no = n2.nation_no AND n2.region_no = r2.region_no AND r2.region_name = 'europe') "
    "ORDER BY balance DESC, nation, supplier, p.part_no LIMIT 100",
    "s3-unshipped": "SELECT d.order_no, sum(price * (1 - discount)) AS revenue, placed FROM clients AS c, orders "
    "AS o, "
    "deliveries AS d WHERE segment = 'building' AND c.client_no = o.client_no AND d.order_no = o.order_no AND "
    "placed < 1200 "
    "AND shipped > 1200 GROUP BY d.order_no, placed ORDER BY revenue DESC, placed, d.order_no LIMIT 10",
    "s4-late": "SELECT urgency, count(*) FROM orders AS o WHERE placed >= 600 AND placed < 690 AND EXISTS (SELECT "
    "1 FROM "
    "deliveries AS d WHERE d.order_no = o.order_no AND due < received) GROUP BY urgency ORDER BY urgency",
    "s5-local": "SELECT nation, sum(price * (1 - discount)) AS revenue FROM clients AS c, orders AS o, deliveries "
    "AS d, "
    "suppliers AS s, nations AS n, regions AS r WHERE c.client_no = o.client_no AND d.order_no = o.order_no AND "
    "d.supplier_no = s.supplier_no AND c.nation_no = s.nation_no AND s.nation_no = n.nation_no AND n.region_no = "
    "r.region_no "
    "AND region_name = 'asia' AND placed >= 730 AND placed < 1095 GROUP BY nation ORDER BY revenue DESC",
    "s6-forecast": "SELECT sum(price * discount) FROM deliveries WHERE shipped >= 730 AND shipped < 1095 AND "
    "discount "
    "BETWEEN 0.05 AND 0.07 AND quantity < 24",
    "s7-between-two": "SELECT n1.nation AS a, n2.nation AS b, {year} AS y, sum(price * (1 - discount)) AS volume "
    "FROM "
    "suppliers AS s, deliveries AS d, orders AS o, clients AS c, nations AS n1, nations AS n2 WHERE s.supplier_no = "
    "d.supplier_no AND o.order_no = d.order_no AND c.client_no = o.client_no AND s.nation_no = n1.nation_no AND "
    "c.nation_no "
    "= n2.nation_no AND ((n1.nation = 'nation3' AND n2.nation = 'nation6') OR (n1.nation = 'nation6' AND n2.nation = "
    "'nation3')) AND shipped BETWEEN 1095 AND 1825 GROUP BY n1.nation, n2.nation, y ORDER BY a, b, y",
    "s8-share": "SELECT y, sum(CASE WHEN nation = 'nation2' THEN volume ELSE 0.0 END) / sum(volume) FROM (SELECT "
    "{year} AS y, "
    "price * (1 - discount) AS volume, n2.nation AS nation FROM parts AS p, suppliers AS s, deliveries AS d, "
    "orders AS o, "
    "clients AS c, nations AS n1, nations AS n2, regions AS r WHERE p.part_no = d.part_no AND s.supplier_no = "
    "d.supplier_no "
    "AND d.order_no = o.order_no AND o.client_no = c.client_no AND c.nation_no = n1.nation_no AND n1.region_no = "
    "r.region_no "
    "AND region_name = 'america' AND s.nation_no = n2.nation_no AND placed BETWEEN 1095 AND 1825 AND finish LIKE "
    "'large%') "
    "AS v GROUP BY y ORDER BY y",
    "s9-profit": "SELECT nation, y, sum(amount) FROM (SELECT nation, {year} AS y, price * (1 - discount) - cost * "
    "quantity AS "
    "amount FROM parts AS p, suppliers AS s, deliveries AS d, offers AS f, orders AS o, nations AS n WHERE "
    "s.supplier_no = "
    "d.supplier_no AND f.supplier_no = d.supplier_no AND f.part_no = d.part_no AND p.part_no = d.part_no AND "
    "o.order_no = "
    "d.order_no AND s.nation_no = n.nation_no AND part LIKE '%green%') AS v GROUP BY nation, y ORDER BY nation, y "
    "DESC",
    "s10-returns": "SELECT c.client_no, client, sum(price * (1 - discount)) AS lost, balance, nation, phone FROM "
    "clients AS c, "
    "orders AS o, deliveries AS d, nations AS n WHERE c.client_no = o.client_no AND d.order_no = o.order_no AND "
    "placed >= 640 "
    "AND placed < 730 AND flag = 'R' AND c.nation_no = n.nation_no GROUP BY c.client_no, client, balance, phone, "
    "nation "
    "ORDER BY lost DESC, c.client_no LIMIT 20",
    "s11-stock": "SELECT part_no, sum(cost * available) AS worth FROM offers AS o, suppliers AS s, nations AS n "
    "WHERE "
    "o.supplier_no = s.supplier_no AND s.nation_no = n.nation_no AND nation = 'nation7' GROUP BY part_no HAVING "
    "sum(cost * available) > (SELECT sum(cost * available) * 0.002 FROM offers AS o, suppliers AS s, nations AS n "
    "WHERE "
    "o.supplier_no = s.supplier_no AND s.nation_no = n.nation_no AND nation = 'nation7') ORDER BY worth DESC, "
    "part_no",
    "s12-modes": "SELECT mode, sum(CASE WHEN urgency = '1-urgent' OR urgency = '2-urgent' THEN 1 ELSE 0 END), "
    "sum(CASE WHEN "
    "urgency <> '1-urgent' AND urgency <> '2-urgent' THEN 1 ELSE 0 END) FROM orders AS o, deliveries AS d WHERE "
    "o.order_no = "
    "d.order_no AND mode IN ('mail', 'ship') AND due < received AND shipped < due AND received >= 730 AND received "
    "< 1095 "
    "GROUP BY mode ORDER BY mode",
    "s13-orders-of": "SELECT n, count(*) AS clients FROM (SELECT c.client_no, count(o.order_no) AS n FROM clients "
    "AS c LEFT "
    "JOIN orders AS o ON c.client_no = o.client_no AND remark NOT LIKE '%special%requests%' GROUP BY c.client_no) "
    "AS x "
    "GROUP BY n ORDER BY clients DESC, n DESC",
    "s14-promotion": "SELECT 100.0 * sum(CASE WHEN finish LIKE 'promo%' THEN price * (1 - discount) ELSE 0.0 END) / "
    "sum(price * (1 - discount)) FROM deliveries AS d, parts AS p WHERE d.part_no = p.part_no AND shipped >= 1340 "
    "AND shipped < 1370",
    "s15-best-supplier": "WITH revenue (supplier, total) AS (SELECT supplier_no, sum(price * (1 - discount)) FROM "
    "deliveries "
    "WHERE shipped >= 1460 AND shipped < 1550 GROUP BY supplier_no) SELECT supplier_no, s.supplier, total FROM "
    "suppliers AS s, "
    "revenue AS r WHERE s.supplier_no = r.supplier AND total = (SELECT max(total) FROM revenue) ORDER BY supplier_no",
    "s16-suppliers-of": "SELECT brand, finish, size, count(DISTINCT supplier_no) AS n FROM offers AS o, parts AS p "
    "WHERE "
    "p.part_no = o.part_no AND brand <> 'brand45' AND finish NOT LIKE 'large%' AND size IN (49, 14, 23, 45, 19, 3, "
    "36, 9) AND "
    "supplier_no NOT IN (SELECT supplier_no FROM suppliers WHERE remark LIKE '%complaints%') GROUP BY brand, "
    "finish, size "
    "ORDER BY n DESC, brand, finish, size",
    "s17-small-orders": "SELECT sum(price) / 7.0 FROM deliveries AS d, parts AS p WHERE p.part_no = d.part_no AND "
    "brand = "
    "'brand23' AND container LIKE '%box' AND quantity < (SELECT 0.2 * avg(quantity) FROM deliveries AS e WHERE "
    "e.part_no = p.part_no)",
    "s18-large-orders": "SELECT client, c.client_no, o.order_no, placed, total, sum(quantity) FROM clients AS c, "
    "orders AS o, "
    "deliveries AS d WHERE o.order_no IN (SELECT order_no FROM deliveries GROUP BY order_no HAVING sum(quantity) > "
    "250) AND "
    "c.client_no = o.client_no AND o.order_no = d.order_no GROUP BY client, c.client_no, o.order_no, placed, total "
    "ORDER BY "
    "total DESC, placed, o.order_no LIMIT 100",
    "s19-three-kinds": "SELECT sum(price * (1 - discount)) FROM deliveries AS d, parts AS p WHERE p.part_no = "
    "d.part_no AND "
    "mode IN ('air', 'air reg') AND handling = 'in person' AND ((brand = 'brand12' AND container LIKE 'sm%' AND "
    "quantity "
    "BETWEEN 1 AND 11 AND size BETWEEN 1 AND 5) OR (brand = 'brand23' AND container LIKE 'med%' AND quantity "
    "BETWEEN 10 AND "
    "20 AND size BETWEEN 1 AND 10) OR (brand = 'brand34' AND container LIKE 'lg%' AND quantity BETWEEN 20 AND 30 "
    "AND size "
    "BETWEEN 1 AND 15))",
    "s20-excess": "SELECT supplier FROM suppliers AS s, nations AS n WHERE supplier_no IN (SELECT supplier_no FROM "
    "offers AS o "
    "WHERE part_no IN (SELECT part_no FROM parts WHERE part LIKE 'coral%') AND available > (SELECT 0.5 * "
    "sum(quantity) FROM "
    "deliveries AS d WHERE d.part_no = o.part_no AND d.supplier_no = o.supplier_no AND shipped >= 730 AND shipped "
    "< 1095)) AND "
    "s.nation_no = n.nation_no AND nation = 'nation3' ORDER BY supplier",
    "s21-kept-waiting": "SELECT supplier, count(*) AS waits FROM suppliers AS s, deliveries AS d1, orders AS o, "
    "nations AS n "
    "WHERE s.supplier_no = d1.supplier_no AND o.order_no = d1.order_no AND o.state = 'F' AND d1.received > d1.due "
    "AND EXISTS "
    "(SELECT 1 FROM deliveries AS d2 WHERE d2.order_no = d1.order_no AND d2.supplier_no <> d1.supplier_no) AND NOT "
    "EXISTS "
    "(SELECT 1 FROM deliveries AS d3 WHERE d3.order_no = d1.order_no AND d3.supplier_no <> d1.supplier_no AND "
    "d3.received > "
    "d3.due) AND s.nation_no = n.nation_no AND nation = 'nation20' GROUP BY supplier ORDER BY waits DESC, supplier "
    "LIMIT 100",
    "s22-no-orders": "SELECT code, count(*), sum(balance) FROM (SELECT substr(phone, 1, 2) AS code, balance FROM "
    "clients AS c "
    "WHERE substr(phone, 1, 2) IN ('13', '31', '23', '29', '30', '18', '17') AND balance > (SELECT avg(balance) "
    "FROM clients "
    "WHERE balance > 0.0) AND NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.client_no = c.client_no)) AS x GROUP "
    "BY code ORDER BY code",
}

QUERIES = WIDE | SERIES | STAR
