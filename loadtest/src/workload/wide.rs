//! Rows with hundreds of fields: integers, decimals and booleans in turn, as a machine controller reports them.

use super::walk::{Normal, Walk};
use super::{Row, Rows, Shape};

/// Time between two rows of one machine.
const TICK_NS: i64 = 1_000_000_000;

pub(super) struct Wide {
    names: Vec<String>,
    /// `fields` walks of machine 0, then of machine 1 and so on.
    walks: Vec<Walk>,
    machines: u64,
    machine: u64,
    time_ns: i64,
    normal: Normal,
}

impl Wide {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        let names = (0..shape.fields)
            .map(|index| match index % 4 {
                0 | 1 => format!("counter_{index}"),
                2 => format!("level_{index}"),
                _ => format!("alarm_{index}"),
            })
            .collect();
        let count = usize::try_from(shape.hosts).unwrap_or(usize::MAX).saturating_mul(shape.fields);
        let walks = (0..count).map(|_| Walk::new(&mut rng, 1_000.0)).collect();
        let normal = Normal::new(rng);
        Self { names, walks, machines: shape.hosts, machine: 0, time_ns: shape.start_ns, normal }
    }
}

impl Rows for Wide {
    fn next_row(&mut self, line: &mut Vec<u8>) -> Row {
        let mut buffer = itoa::Buffer::new();
        line.extend_from_slice(b"machine,name=machine_");
        line.extend_from_slice(buffer.format(self.machine).as_bytes());
        line.push(b' ');
        let first = self.machine as usize * self.names.len();
        for (index, name) in self.names.iter().enumerate() {
            if index > 0 {
                line.push(b',');
            }
            line.extend_from_slice(name.as_bytes());
            line.push(b'=');
            let value = self.walks[first + index].step(&mut self.normal);
            match index % 4 {
                0 | 1 => {
                    line.extend_from_slice(buffer.format(value as i64).as_bytes());
                    line.push(b'i');
                }
                2 => {
                    let tenths = (value * 10.0) as i64;
                    line.extend_from_slice(buffer.format(tenths / 10).as_bytes());
                    line.extend_from_slice(&[b'.', b'0' + (tenths % 10) as u8]);
                }
                _ => line.extend_from_slice(if value > 900.0 { b"true" } else { b"false" }),
            }
        }
        line.push(b' ');
        let row = Row { time_ns: self.time_ns, values: self.names.len() as u32 };
        self.machine += 1;
        if self.machine == self.machines {
            self.machine = 0;
            self.time_ns += TICK_NS;
        }
        row
    }
}
