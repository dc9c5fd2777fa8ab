//! Names and values of the devops workload: the table `cpu` of TSBS cpu-only.

/// Tags, in the order of a line.
pub const TAGS: [&str; 10] = [
    "hostname",
    "region",
    "datacenter",
    "rack",
    "os",
    "arch",
    "team",
    "service",
    "service_version",
    "service_environment",
];

/// Fields, in the order of a line.
pub const FIELDS: [&str; 10] = [
    "usage_user",
    "usage_system",
    "usage_idle",
    "usage_nice",
    "usage_iowait",
    "usage_irq",
    "usage_softirq",
    "usage_steal",
    "usage_guest",
    "usage_guest_nice",
];

/// A random walk within 0..=100, as TSBS makes its cpu usage.
pub fn walk(rng: &mut fastrand::Rng, rows: usize) -> Vec<i64> {
    let mut at = rng.f64() * 100.0;
    (0..rows)
        .map(|_| {
            // The sum of twelve uniform numbers is close to a normal one with deviation 1.
            let normal: f64 = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
            at = (at + normal).clamp(0.0, 100.0);
            at as i64
        })
        .collect()
}
