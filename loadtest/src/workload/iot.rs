//! Trucks on the road: table `readings` (floats) and table `diagnostics` (integers and a string), reported over a bad
//! line. One row in eight is held back and sent later: mostly a few rows later (out of order), sometimes minutes later.
//!
//! 1. Rows are made in time order, truck after truck, both tables in turn.
//! 2. A row that is held back goes into a heap keyed by the number of the row before which it is released.
//! 3. Each call first releases what is due, so the stream stays endless and every row comes out exactly once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Write;

use super::walk::{Normal, Walk};
use super::{Row, Rows, Shape};

/// Time between two rows of one truck in one table.
const TICK_NS: i64 = 10_000_000_000;
/// One row in this many is held back.
const HELD_ONE_IN: u32 = 8;
/// One held row in this many is very late instead of merely out of order.
const LATE_ONE_IN: u32 = 8;
/// An out-of-order row is passed by up to this many rows.
const SWAP_ROWS: u64 = 50;
/// A late row misses this many ticks, at most.
const LATE_TICKS: u64 = 30;

const FLEETS: [&str; 4] = ["East", "West", "North", "South"];
const MODELS: [&str; 3] = ["F-150", "G-2000", "H-2"];
const DRIVERS: [&str; 5] = ["Trish", "Andy", "Derek", "Rodney", "Albert"];
const MESSAGES: [&str; 4] = ["ok", "tyre pressure low, left rear", "engine \\\"check\\\" lamp", "door open"];

struct Truck {
    tags: Vec<u8>,
    latitude: Walk,
    longitude: Walk,
    velocity: Walk,
    fuel: Walk,
}

/// A row that waits: released before row number `due`; `order` keeps equal ones apart and in order.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    due: u64,
    order: u64,
    line: Vec<u8>,
    time_ns: i64,
    values: u32,
}

pub(super) struct Iot {
    trucks: Vec<Truck>,
    /// Place in the tick: `truck * 2 + table`.
    place: usize,
    time_ns: i64,
    /// Rows handed out so far.
    sent: u64,
    made: u64,
    held: BinaryHeap<Reverse<Held>>,
    rng: fastrand::Rng,
    normal: Normal,
}

impl Iot {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut rng = fastrand::Rng::with_seed(shape.seed);
        let trucks = (0..shape.hosts)
            .map(|id| {
                let fleet = FLEETS[rng.usize(..FLEETS.len())];
                let model = MODELS[rng.usize(..MODELS.len())];
                let driver = DRIVERS[rng.usize(..DRIVERS.len())];
                Truck {
                    tags: format!(",name=truck_{id},fleet={fleet},driver={driver},model={model} ").into_bytes(),
                    latitude: Walk::new(&mut rng, 90.0),
                    longitude: Walk::new(&mut rng, 180.0),
                    velocity: Walk::new(&mut rng, 100.0),
                    fuel: Walk::new(&mut rng, 100.0),
                }
            })
            .collect();
        let normal = Normal::new(rng.fork());
        Self { trucks, place: 0, time_ns: shape.start_ns, sent: 0, made: 0, held: BinaryHeap::new(), rng, normal }
    }

    fn make(&mut self, line: &mut Vec<u8>) -> Row {
        let truck = &mut self.trucks[self.place / 2];
        let values = if self.place.is_multiple_of(2) {
            line.extend_from_slice(b"readings");
            line.extend_from_slice(&truck.tags);
            let latitude = truck.latitude.step(&mut self.normal);
            let longitude = truck.longitude.step(&mut self.normal);
            let velocity = truck.velocity.step(&mut self.normal);
            // Writing into a Vec cannot fail.
            let _ = write!(line, "latitude={latitude:.5},longitude={longitude:.5},velocity={velocity:.1} ");
            3
        } else {
            line.extend_from_slice(b"diagnostics");
            line.extend_from_slice(&truck.tags);
            let fuel = truck.fuel.step(&mut self.normal);
            let load = self.rng.u32(..5_000);
            let message = MESSAGES[self.rng.usize(..MESSAGES.len())];
            let _ = write!(line, "fuel_state={fuel:.2},current_load={load}i,message=\"{message}\" ");
            3
        };
        let row = Row { time_ns: self.time_ns, values };
        self.made += 1;
        self.place += 1;
        if self.place == self.trucks.len() * 2 {
            self.place = 0;
            self.time_ns += TICK_NS;
        }
        row
    }
}

impl Rows for Iot {
    fn next_row(&mut self, line: &mut Vec<u8>) -> Row {
        self.sent += 1;
        if self.held.peek().is_some_and(|Reverse(held)| held.due <= self.sent)
            && let Some(Reverse(held)) = self.held.pop()
        {
            line.extend_from_slice(&held.line);
            return Row { time_ns: held.time_ns, values: held.values };
        }
        let start = line.len();
        loop {
            let row = self.make(line);
            if self.rng.u32(..HELD_ONE_IN) != 0 {
                return row;
            }
            let rows_a_tick = self.trucks.len() as u64 * 2;
            let delay = if self.rng.u32(..LATE_ONE_IN) == 0 {
                rows_a_tick * self.rng.u64(1..=LATE_TICKS)
            } else {
                self.rng.u64(1..=SWAP_ROWS)
            };
            let line = line.split_off(start);
            let (time_ns, values) = (row.time_ns, row.values);
            self.held.push(Reverse(Held { due: self.sent + delay, order: self.made, line, time_ns, values }));
        }
    }
}
