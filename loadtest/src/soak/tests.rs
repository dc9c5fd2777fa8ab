use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Cli {
    #[command(flatten)]
    args: SoakArgs,
}

fn args(flags: &str) -> SoakArgs {
    Cli::try_parse_from(["soak", "--data-dir", "/x"].into_iter().chain(flags.split_whitespace())).unwrap().args
}

#[test]
fn lengths_rates_and_what_is_kept() {
    let default = args("");
    assert_eq!((default.length().unwrap().as_secs(), default.ttl().as_secs()), (1_800, 300));
    assert_eq!((default.keep_batches().unwrap(), default.interval(8_000).unwrap()), (37_500, None));
    assert_eq!(args("--minutes 3").ttl().as_secs(), 60);
    // Six writers with 8,000 rows a request each.
    assert_eq!(args("--rate 48000").interval(8_000).unwrap(), Some(Duration::from_secs(1)));
    for (bad, why) in [("--minutes 0", "--minutes"), ("--rate 0", "--rate"), ("--keep-rows 1000", "--keep-rows")] {
        let args = args(bad);
        let outcome = args.length().map(drop).and(args.keep_batches().map(drop)).and(args.interval(1).map(drop));
        assert!(outcome.unwrap_err().to_string().contains(why), "{bad}");
    }
}

fn judged(flags: &str, change: impl FnOnce(&Shared, &mut Vec<Point>, &mut Work)) -> Result<()> {
    let shared = Shared::new(Fleet::new(Size { hosts: 1, ticks: 1, seed: 1 }));
    shared.check("a", &1, &1);
    let mut points: Vec<Point> =
        (0..=1_800).map(|second| Point { at_s: second as f64, rows: second * 10, rss_bytes: 1 << 30 }).collect();
    let mut ended = Work { flushes: 9, merges: 5, deletes: 3, expired_segments: 7, ..Work::default() };
    change(&shared, &mut points, &mut ended);
    let mut promises = Promises::default();
    judge(&args(flags), &shared, &[], &points, ended, &mut promises);
    promises.verdict()
}

#[test]
fn every_promise_can_be_broken() {
    judged("", |_, _, _| ()).unwrap();
    let broken = |flags: &str, change: &dyn Fn(&Shared, &mut Vec<Point>, &mut Work), why: &str| {
        let text = judged(flags, |shared, points, work| change(shared, points, work)).unwrap_err().to_string();
        assert!(text.contains(why) && text.lines().count() == 2, "{text}");
    };
    broken("", &|shared, _, _| shared.error(&Error::Reply("no".to_owned())), "failed requests");
    broken("", &|shared, _, _| shared.check("a", &1, &2), "rows lost");
    broken("", &|_, points, _| points[1_500..].iter_mut().for_each(|p| p.rows = 15_000), "rate: last sixth");
    broken("", &|_, points, _| points[1_700].rss_bytes = 1_200 << 20, "last third");
    broken("--rss-mib-max 1000", &|_, _, _| (), "RSS: most of all");
    broken("", &|_, _, work| work.merges = 0, "merges");
    broken("", &|_, _, work| work.failures = 1, "that failed");
    broken("", &|_, _, work| work.deletes = 0, "deletes");
    broken("", &|_, _, work| work.expired_segments = 0, "expired");
    judged("--no-deletes", |_, _, work| work.deletes = 0).unwrap();
}
