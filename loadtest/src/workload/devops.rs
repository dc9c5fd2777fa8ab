//! TSBS cpu-only: one host after the other at each tick of ten seconds. The tag choices are those of TSBS
//! (`pkg/data/usecases/devops/host.go`), the tags of a host never change, and its ten values walk in 0..=100.

use std::io::Write;

use super::walk::{Normal, Walk};
use super::{Row, Rows, Shape};

/// Time between two rows of one host.
pub(crate) const TICK_NS: i64 = 10_000_000_000;

/// The fields of table `cpu`, in the order of a line.
pub(crate) const CPU_FIELDS: [&str; 10] = [
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

/// The tags of table `cpu`, in the order of a line.
pub(crate) const CPU_TAGS: [&str; 10] = [
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

/// Regions and the letters of their zones.
const REGIONS: [(&str, &str); 9] = [
    ("us-east-1", "abce"),
    ("us-west-1", "ab"),
    ("us-west-2", "abc"),
    ("eu-west-1", "abc"),
    ("eu-central-1", "ab"),
    ("ap-southeast-1", "ab"),
    ("ap-southeast-2", "ab"),
    ("ap-northeast-1", "ac"),
    ("sa-east-1", "abc"),
];
const SYSTEMS: [&str; 3] = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"];
const ARCHITECTURES: [&str; 2] = ["x64", "x86"];
const TEAMS: [&str; 4] = ["SF", "NYC", "LON", "CHI"];
const ENVIRONMENTS: [&str; 3] = ["production", "staging", "test"];
const RACKS: u32 = 100;
const SERVICES: u32 = 20;
const SERVICE_VERSIONS: u32 = 2;

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digits {
    Integer,
    Decimal,
    Full,
}

struct Host {
    /// `cpu,hostname=…,service_environment=… `, the part of the line that never changes.
    prefix: Vec<u8>,
    walks: [Walk; CPU_FIELDS.len()],
}

pub(super) struct Devops {
    hosts: Vec<Host>,
    host: usize,
    time_ns: i64,
    normal: Normal,
    digits: Digits,
}

impl Devops {
    pub(super) fn new(shape: &Shape, digits: Digits) -> Self {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        let hosts = (0..shape.hosts).map(|id| Host::new(id, &mut rng)).collect();
        Self { hosts, host: 0, time_ns: shape.start_ns, normal: Normal::new(rng), digits }
    }
}

impl Host {
    fn new(id: u64, rng: &mut fastrand::Rng) -> Self {
        let (region, zones) = REGIONS[rng.usize(..REGIONS.len())];
        let zone = zones.as_bytes()[rng.usize(..zones.len())] as char;
        let rack = rng.u32(..RACKS);
        let architecture = ARCHITECTURES[rng.usize(..ARCHITECTURES.len())];
        let system = SYSTEMS[rng.usize(..SYSTEMS.len())];
        let service = rng.u32(..SERVICES);
        let version = rng.u32(..SERVICE_VERSIONS);
        let environment = ENVIRONMENTS[rng.usize(..ENVIRONMENTS.len())];
        let team = TEAMS[rng.usize(..TEAMS.len())];
        let prefix = format!(
            "cpu,hostname=host_{id},region={region},datacenter={region}{zone},rack={rack},os={system},\
             arch={architecture},team={team},service={service},service_version={version},\
             service_environment={environment} "
        );
        Self { prefix: prefix.into_bytes(), walks: std::array::from_fn(|_| Walk::new(rng, 100.0)) }
    }
}

impl Rows for Devops {
    fn next_row(&mut self, line: &mut Vec<u8>) -> Row {
        let host = &mut self.hosts[self.host];
        line.extend_from_slice(&host.prefix);
        for (index, (name, walk)) in CPU_FIELDS.iter().zip(&mut host.walks).enumerate() {
            if index > 0 {
                line.push(b',');
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            write_value(walk.step(&mut self.normal), self.digits, line);
        }
        line.push(b' ');
        let row = Row { time_ns: self.time_ns, values: CPU_FIELDS.len() as u32 };
        self.host += 1;
        if self.host == self.hosts.len() {
            self.host = 0;
            self.time_ns += TICK_NS;
        }
        row
    }
}

/// Writes a value of 0..=100. Integers are cut, not rounded, as TSBS does it.
fn write_value(value: f64, digits: Digits, line: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    match digits {
        Digits::Integer => {
            line.extend_from_slice(buffer.format(value as i64).as_bytes());
            line.push(b'i');
        }
        Digits::Decimal => {
            let hundredths = (value * 100.0).round() as u32;
            line.extend_from_slice(buffer.format(hundredths / 100).as_bytes());
            let rest = hundredths % 100;
            line.extend_from_slice(&[b'.', b'0' + (rest / 10) as u8, b'0' + (rest % 10) as u8]);
        }
        Digits::Full => {
            let decimals = if value < 10.0 { 16 } else { 15 };
            // Writing into a Vec cannot fail.
            let _ = write!(line, "{value:.decimals$}");
        }
    }
}
