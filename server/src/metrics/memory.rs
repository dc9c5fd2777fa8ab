//! The server's memory as metrics.

use std::rc::Rc;

use crate::memory::pressure::RefusedWork;
use crate::memory::{CoreMemory, Part};
use crate::metrics::registry::{Counter, Gauge, Registry};

/// What core 0 shows for all.
#[derive(Debug)]
struct Whole {
    bytes_max: Rc<Gauge>,
    queries: Rc<Gauge>,
    level: Rc<Gauge>,
    resident: Rc<Gauge>,
    growth_refused: Rc<Counter>,
}

/// The memory of one core, in its registry.
#[derive(Debug)]
pub(crate) struct MemoryMetrics {
    parts: Vec<Rc<Gauge>>,
    refused: [Rc<Counter>; 3],
    whole: Option<Whole>,
}

const PART: (&str, &str) = ("tidewire_memory_bytes", "Memory that is counted against the bound, by what holds it.");

impl MemoryMetrics {
    /// Of core number `core`.
    pub(crate) fn new(core: usize, registry: &Registry) -> Self {
        let part = |name: &str| registry.gauge(PART.0, PART.1, &[("part", name)]);
        let refused = |work: &str| {
            let help = "Work refused with 429 because memory was short: queries, writes with new series, all writes.";
            registry.counter("tidewire_memory_refused_total", help, &[("work", work)])
        };
        let gauge = |name, help| registry.gauge(name, help, &[]);
        let whole = (core == 0).then(|| Whole {
            bytes_max: gauge("tidewire_memory_bytes_max", "Bound of all parts together, memory.bytes_max."),
            queries: part("queries"),
            level: gauge(
                "tidewire_memory_level",
                "0: memory is not short; 1: caches are shed; 2: queries and new series are refused; 3: all writes are.",
            ),
            resident: gauge("process_resident_memory_bytes", "Memory of the process that is in RAM."),
            growth_refused: registry.counter(
                "tidewire_query_memory_refused_total",
                "Times that a running query was refused more memory, since all queries together held their share.",
                &[],
            ),
        });
        Self {
            parts: Part::ALL.iter().map(|(_, name)| part(name)).collect(),
            refused: ["queries", "series", "writes"].map(refused),
            whole,
        }
    }

    /// Counts work that is refused.
    pub(crate) fn refused(&self, work: RefusedWork) {
        self.refused[work as usize].increment();
    }

    /// Fills in the values of this moment.
    pub(crate) fn update(&self, memory: &CoreMemory) {
        let set = |gauge: &Gauge, value: u64| gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        for (gauge, (part, _)) in self.parts.iter().zip(&Part::ALL) {
            set(gauge, memory.get(*part));
        }
        if let Some(whole) = &self.whole {
            let all = memory.shared();
            set(&whole.bytes_max, all.budget().bytes_max);
            set(&whole.queries, all.queries().used());
            set(&whole.level, all.level() as u64);
            set(&whole.resident, all.resident().0);
            whole.growth_refused.advance_to(all.queries().refused());
        }
    }
}
