//! Line protocol text, the same for the same arguments.

use std::fmt::Write;

use tidewire_protocol::line::{LineParser, LineSink, State, TimeRule};

use crate::devops::FIELDS;

/// What the field values of [`text`] look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// TSBS cpu-only: 10 tags, 10 integer fields from 0 to 100.
    Devops,
    /// The same with floats of two decimals.
    Decimal,
    /// The same with floats of 17 digits.
    Float,
    /// Fewer tags and fields, with escapes in names, tags and strings.
    Escaped,
}

impl Shape {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Devops, Self::Decimal, Self::Float, Self::Escaped];

    /// A word for the names of benchmarks.
    pub fn name(self) -> &'static str {
        match self {
            Self::Devops => "devops",
            Self::Decimal => "decimal",
            Self::Float => "float",
            Self::Escaped => "escaped",
        }
    }
}

const REGIONS: [&str; 9] = [
    "us-east-1",
    "us-west-1",
    "us-west-2",
    "eu-west-1",
    "eu-central-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-northeast-1",
    "sa-east-1",
];
/// The first timestamp, in nanoseconds, and the step between rounds: ten seconds, as TSBS has it.
const START_NS: u64 = 1_451_606_400_000_000_000;
const STEP_NS: u64 = 10_000_000_000;

/// Measurement and tags of one host.
fn key(shape: Shape, host: usize, rng: &mut fastrand::Rng) -> String {
    if shape == Shape::Escaped {
        return format!(r"log\ lines,host=web\ {host},path=/var/log\,x,unit=a\=b", host = host);
    }
    let region = REGIONS[rng.usize(..REGIONS.len())];
    let zone = ["a", "b", "c"][rng.usize(..3)];
    format!(
        "cpu,hostname=host_{host},region={region},datacenter={region}{zone},rack={rack},os={os},arch={arch},team={team},\
         service={service},service_version={version},service_environment={environment}",
        rack = rng.u8(..100),
        os = ["Ubuntu16.10", "Ubuntu16.04LTS", "Ubuntu15.10"][rng.usize(..3)],
        arch = ["x64", "x86"][rng.usize(..2)],
        team = ["SF", "NYC", "LON", "CHI"][rng.usize(..4)],
        service = rng.u8(..20),
        version = rng.u8(..2),
        environment = ["production", "staging", "test"][rng.usize(..3)],
    )
}

/// `rounds` lines of each of `hosts` hosts, round by round.
pub fn text(shape: Shape, hosts: usize, rounds: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(7);
    let keys: Vec<String> = (0..hosts).map(|host| key(shape, host, &mut rng)).collect();
    let mut out = String::new();
    for round in 0..rounds {
        for key in &keys {
            out.push_str(key);
            fields(shape, &mut rng, &mut out);
            let _ = writeln!(out, " {}", START_NS + round as u64 * STEP_NS);
        }
    }
    out
}

fn fields(shape: Shape, rng: &mut fastrand::Rng, out: &mut String) {
    // Writing into a String cannot fail.
    if shape == Shape::Escaped {
        let code = rng.u16(..600);
        let _ =
            write!(out, r#" message="GET \"/path/{code}\" took a while, C:\\temp",level="warn",status\ code={code}i"#);
        return;
    }
    for (index, name) in FIELDS.iter().enumerate() {
        out.push(if index == 0 { ' ' } else { ',' });
        let _ = match shape {
            Shape::Devops => write!(out, "{name}={}i", rng.u8(..=100)),
            Shape::Decimal => write!(out, "{name}={}.{:02}", rng.u8(..100), rng.u8(..100)),
            _ => write!(out, "{name}={}", rng.f64() * 100.0),
        };
    }
}

/// Parses a whole text with no other work between two calls of the parser; gives why the last of them ended.
pub fn parse_whole<S: LineSink>(parser: &mut LineParser, text: &[u8], rule: &TimeRule, sink: &mut S) -> State {
    let mut rest = text;
    loop {
        let progress = parser.parse(rest, true, rule, sink);
        if progress.state != State::Yielded {
            return progress.state;
        }
        rest = &rest[progress.consumed..];
    }
}
