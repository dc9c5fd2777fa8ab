//! Tests of the parsers against each other and against what the two systems were seen to do.

mod equality;
mod recorder;
mod rules;

use recorder::{Event, Recorder};

use super::{Dialect, LineParser, TimeRule, scalar};

/// What `body` gives in the plain parser, in one piece.
fn scalar_events(dialect: Dialect, body: &[u8], rule: &TimeRule) -> Vec<Event> {
    let mut sink = Recorder::default();
    scalar::Parser::new(dialect).parse(body, true, rule, &mut sink);
    sink.events
}

/// The same from the parser that predicts, as often as `rounds`: the later rounds find warm caches.
fn fast_events(dialect: Dialect, body: &[u8], rule: &TimeRule, rounds: usize) -> Vec<Vec<Event>> {
    let mut parser = LineParser::new(dialect);
    let mut sink = Recorder::default();
    let round = |_| {
        parser.begin();
        parser.parse(body, true, rule, &mut sink);
        std::mem::take(&mut sink.events)
    };
    (0..rounds).map(round).collect()
}
