//! Twenty panels as Grafana's InfluxDB data source asks for them: quoted names, `::tag`, regular expressions for
//! variables, times in milliseconds, GET and POST.

use crate::http::Target;
use crate::write::encode;

/// How many there are.
pub(super) const PANELS: usize = 20;

/// What a dashboard shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// The host that was chosen, of `hosts`.
    pub(super) host: u64,
    pub(super) hosts: u64,
}

/// The statements of a panel; `$of_host` stands for what most have in common: the rows of the chosen host.
const STATEMENTS: [&str; PANELS] = [
    r#"SELECT mean("usage_user") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT max("usage_system") FROM "cpu" WHERE ("hostname"::tag = '$host') AND $time GROUP BY time(1m) fill(none)"#,
    r#"SELECT mean("usage_user") AS "user", mean("usage_idle") AS "idle" FROM "cpu" WHERE $of_host GROUP BY time(1m)"#,
    r#"SELECT mean("usage_user") FROM "cpu" WHERE "hostname"::tag =~ /^($ten)$/ AND $time GROUP BY time(1m), "hostname""#,
    r#"SELECT mean("usage_iowait") FROM "cpu" WHERE $time GROUP BY time(1m) fill(null)"#,
    r#"SELECT mean("usage_user") FROM "cpu" WHERE $time GROUP BY time(1m), "region"::tag fill(null)"#,
    r#"SELECT last("usage_user") FROM "cpu" WHERE $time GROUP BY "hostname"::tag"#,
    r#"SELECT percentile("usage_user", 95) FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT non_negative_derivative(mean("usage_user"), 1s) FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT moving_average(mean("usage_user"), 5) FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT min("usage_idle"), max("usage_idle"), mean("usage_idle") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT count("usage_user") FROM "cpu" WHERE $time GROUP BY time(1m) fill(0)"#,
    r#"SELECT stddev("usage_nice") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    r#"SELECT spread("usage_steal") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(previous)"#,
    r#"SELECT top("usage_user", "hostname", 5) FROM "cpu" WHERE $time"#,
    r#"SELECT mean("usage_guest") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(linear) tz('Europe/Paris')"#,
    r#"SELECT mean("usage_user") FROM "cpu" WHERE $time GROUP BY time(1m), "hostname" ORDER BY time ASC limit 60 slimit 9"#,
    r#"SELECT mean("usage_user") + mean("usage_system") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#,
    concat!(
        r#"SELECT max("usage_softirq") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null);"#,
        r#"SELECT min("usage_softirq") FROM "cpu" WHERE $of_host GROUP BY time(1m) fill(null)"#
    ),
    r#"SHOW TAG VALUES FROM "cpu" WITH KEY = "hostname" WHERE $time"#,
];

/// What a panel asks.
pub(super) fn statement(panel: usize, view: &View) -> String {
    let View { from_ms, to_ms, host, hosts } = *view;
    let ten: Vec<String> = (0..hosts.min(10)).map(|next| format!("host_{}", (host + next) % hosts)).collect();
    STATEMENTS[panel % PANELS]
        .replace("$of_host", "(\"hostname\"::tag =~ /^$host$/) AND $time")
        .replace("$time", &format!("time >= {from_ms}ms and time <= {to_ms}ms"))
        .replace("$host", &format!("host_{host}"))
        .replace("$ten", &ten.join("|"))
}

/// The request of a panel: every other is a POST.
pub(super) fn request(target: &Target, database: &str, panel: usize, view: &View) -> Vec<u8> {
    let (database, q) = (encode(database), encode(&statement(panel, view)));
    if panel.is_multiple_of(2) {
        target.request(&format!("/query?db={database}&epoch=ms&q={q}"), None, None)
    } else {
        target.form(&format!("/query?db={database}&epoch=ms"), format!("q={q}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_name_what_is_viewed_and_nothing_else_is_left_open() {
        let view = View { from_ms: 5, to_ms: 9, host: 7, hosts: 8 };
        for panel in 0..PANELS {
            let text = statement(panel, &view);
            assert!(text.contains("time >= 5ms and time <= 9ms") && !text.contains("$time"), "{text}");
            assert!(!text.contains("$host") && !text.contains("$ten"), "{text}");
        }
        assert!(statement(0, &view).contains("/^host_7$/"));
        assert!(statement(3, &view).contains("/^(host_7|host_0|host_1|host_2|host_3|host_4|host_5|host_6)$/"));
        let target = Target::local(1);
        let text = |panel| String::from_utf8(request(&target, "d b", panel, &view)).unwrap();
        assert!(text(0).starts_with("GET /query?db=d%20b&epoch=ms&q=SELECT%20mean"));
        let post = text(1);
        assert!(post.starts_with("POST /query?db=d%20b&epoch=ms HTTP/1.1\r\n"), "{post}");
        assert!(post.contains("\r\nContent-Type: application/x-www-form-urlencoded\r\n"), "{post}");
        assert!(post.contains("\r\n\r\nq=SELECT%20max"), "{post}");
    }
}
