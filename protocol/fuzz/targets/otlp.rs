//! OpenTelemetry's spans, logs and metrics: protobuf in any parts, and JSON.

#![cfg_attr(fuzzing, no_main)]

mod shared;

use shared::{Choices, Recorder, now, told_in_parts};
use tidewire_protocol::otlp::{LogReader, MetricReader, SpanReader};

fn spans(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let mut reader = SpanReader::new("t".to_owned());
    told_in_parts(message, part_bytes, |fields, rows| now(reader.read_message(fields, rows)).map(drop))
}

fn logs(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let mut reader = LogReader::new("t".to_owned(), 5);
    told_in_parts(message, part_bytes, |fields, rows| now(reader.read_message(fields, rows)).map(drop))
}

fn metrics(message: &[u8], part_bytes: usize) -> Option<Vec<String>> {
    let mut reader = MetricReader::default();
    told_in_parts(message, part_bytes, |fields, rows| now(reader.read_message(fields, rows)).map(drop))
}

shared::entry::target!(|data| {
    let mut choices = Choices::of(data);
    let form = choices.number(6);
    let (body, mut rows) = (choices.rest(), Recorder::default());
    // Rows or an error; nothing more is asked of JSON.
    match form {
        0 => drop(now(SpanReader::new("t".to_owned()).read_json(body, &mut rows))),
        1 => drop(now(LogReader::new("t".to_owned(), 5).read_json(body, &mut rows))),
        2 => drop(now(MetricReader::default().read_json(body, &mut rows))),
        3 => assert_eq!(spans(body, usize::MAX), spans(body, 1)),
        4 => assert_eq!(logs(body, usize::MAX), logs(body, 1)),
        _ => assert_eq!(metrics(body, usize::MAX), metrics(body, 1)),
    }
});
