//! Rows as line protocol.
//!
//! They are written as [`tidewire_protocol::line::write`] does, which not everyone can read back where names are odd.
//! So a series or field whose name or value holds anything odd is parsed back, and [`Readers`] says who would read what
//! was written.

use std::convert::Infallible;

use tidewire_protocol::line::scalar::Parser;
pub(super) use tidewire_protocol::line::write::{
    push_bool, push_digits, push_float, push_int, push_name, push_series, push_string, push_uint,
};
use tidewire_protocol::line::{Dialect, LineError, LineSink, TimeRule};
use tidewire_protocol::row::{FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowSink, SeriesRef, SeriesSlot};

/// Which dialects read a text as what it was written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Readers {
    /// CnosDB's, of `/api/v1/write`.
    pub(super) cnos: bool,
    /// InfluxDB's, of `/write`.
    pub(super) influx: bool,
}

impl Readers {
    /// Everyone.
    pub(super) const ALL: Self = Self { cnos: true, influx: true };

    /// Those who read both.
    pub(super) fn and(self, other: Self) -> Self {
        Self { cnos: self.cnos && other.cnos, influx: self.influx && other.influx }
    }

    /// Whether one of them reads it.
    pub(super) fn has(self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Cnos => self.cnos,
            Dialect::Influx => self.influx,
        }
    }

    /// Who reads a series, and a field where one is given. Tags sorted by name.
    pub(super) fn of(table: &str, tags: &[(&str, &str)], field: Option<&str>) -> Self {
        let names = tags.iter().flat_map(|(name, value)| [*name, *value]);
        if is_plain(table) && !table.starts_with('#') && names.chain(field).all(is_plain) {
            return Self::ALL;
        }
        let mut line = Vec::new();
        push_series(&mut line, table, tags.iter().copied());
        line.push(b' ');
        push_name(&mut line, field.unwrap_or("f"));
        line.extend_from_slice(b"=1i 0\n");
        let reads = |dialect| {
            let mut sink = Back { table, tags, field: field.unwrap_or("f"), rows: 0, same: true };
            Parser::new(dialect).parse(&line, true, &TimeRule::identity(0), &mut sink);
            sink.same && sink.rows == 1
        };
        Self { cnos: reads(Dialect::Cnos), influx: reads(Dialect::Influx) }
    }
}

/// Whether a name or value is read back by everyone without a look: not empty, nothing that is special beyond the bytes
/// that are escaped, no blank that could be trimmed.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte > b' ' && byte != b'\\' && byte != 0x7f || byte == b' ')
}

/// Compares what is parsed with what was written.
struct Back<'a> {
    table: &'a str,
    tags: &'a [(&'a str, &'a str)],
    field: &'a str,
    rows: usize,
    same: bool,
}

impl RowSink for Back<'_> {
    type Refusal = Infallible;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
        self.same &= series.table == self.table && series.tags == self.tags;
        Ok(SeriesSlot(0))
    }

    fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
        self.same &= fields == [(self.field, FieldKind::Int)];
        Ok(LayoutSlot(0))
    }

    fn row(
        &mut self,
        _: SeriesSlot,
        _: LayoutSlot,
        time: i64,
        values: &[RawValue],
        _: &[u8],
    ) -> Result<(), Infallible> {
        self.rows += 1;
        self.same &= time == 0 && matches!(values, [value] if value.int() == 1);
        Ok(())
    }

    fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
        match refusal {}
    }
}

impl LineSink for Back<'_> {
    fn fault(&mut self, _: &LineError<'_>) -> Next {
        self.same = false;
        Next::Stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_have_the_readers_that_read_them_back() {
        let of = |table, value, field| {
            let readers = Readers::of(table, &[("tag", value)], Some(field));
            (readers.cnos, readers.influx)
        };
        assert_eq!(of("a b,c=d", "x y,z=\"q'", "f g=,h"), (true, true));
        assert_eq!(of("ünï", "ß=, ", "é"), (true, true));
        assert_eq!(of(r"a\b", "v", "f"), (false, true));
        assert_eq!(of("a", r"C:\temp", "f"), (false, true));
        assert_eq!(of("a", "v", r"f\x"), (false, true));
        // InfluxDB takes the separator behind it for escaped, CnosDB takes two for a pair.
        assert_eq!(of("a", r"ends\", "f"), (false, false));
        assert_eq!(of("a", r"ends\\", "f"), (true, false));
        assert_eq!(of("#a", "v", "f"), (false, false));
        assert_eq!(of("a", "two\nlines", "f"), (false, false));
        assert_eq!(of("a", "", "f"), (false, false));
    }

    /// What a parser gives out.
    #[derive(Debug, Default, PartialEq)]
    struct Seen {
        table: String,
        tags: Vec<(String, String)>,
        names: Vec<(String, FieldKind)>,
        values: Vec<String>,
        time: i64,
        rows: usize,
        refused: Option<String>,
    }

    impl RowSink for Seen {
        type Refusal = Infallible;

        fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<Infallible>> {
            self.table = series.table.to_owned();
            self.tags = series.tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Ok(SeriesSlot(0))
        }

        fn layout(&mut self, _: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<Infallible>> {
            self.names = fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
            Ok(LayoutSlot(0))
        }

        fn row(
            &mut self,
            _: SeriesSlot,
            _: LayoutSlot,
            time: i64,
            values: &[RawValue],
            text: &[u8],
        ) -> Result<(), Infallible> {
            let kinds = self.names.iter().map(|(_, kind)| *kind);
            let shown = kinds.zip(values).map(|(kind, value)| match kind {
                FieldKind::Int => value.int().to_string(),
                FieldKind::UInt => value.uint().to_string(),
                FieldKind::Float => format!("{:x}", value.float().to_bits()),
                FieldKind::Bool => value.bool().to_string(),
                FieldKind::String => String::from_utf8_lossy(value.string(text)).into_owned(),
            });
            self.values = shown.collect();
            (self.time, self.rows) = (time, self.rows + 1);
            Ok(())
        }

        fn refuse(&mut self, _: Position, refusal: Infallible) -> Next {
            match refusal {}
        }
    }

    impl LineSink for Seen {
        fn fault(&mut self, error: &LineError<'_>) -> Next {
            self.refused = Some(format!("{:?}", error.reason));
            Next::Stop
        }
    }

    #[test]
    fn whatever_is_written_is_read_back_by_its_readers() {
        const SEED: u64 = 20;
        let mut random = fastrand::Rng::with_seed(SEED);
        let mut read = [0, 0];
        for case in 0..20_000 {
            let mut text = |alphabet: &[char]| -> String {
                (0..random.usize(1..7)).map(|_| alphabet[random.usize(..alphabet.len())]).collect()
            };
            let odd = ['a', 'b', ',', ' ', '=', '"', '\\', '\'', 'é', '#', '.'];
            let any = ['a', '"', '\\', '\n', '\r', '\t', ',', ' ', '=', '\'', '漢', '#'];
            let table = text(&odd);
            let mut tags = vec![(text(&odd), text(&odd)), (text(&odd), text(&odd))];
            tags.sort();
            let mut names = [text(&odd), text(&odd), text(&odd)];
            names.sort();
            let string = text(&any);
            if tags[0].0 == tags[1].0 || names.windows(2).any(|pair| pair[0] == pair[1]) {
                continue;
            }
            let (float, int, time) = (f64::from_bits(random.u64(..)), random.i64(..), random.i64(..));
            if !float.is_finite() {
                continue;
            }

            let tags_text: Vec<_> = tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let of_names = names.iter().map(|name| Readers::of("m", &[], Some(name)));
            let readers = of_names.fold(Readers::of(&table, &tags_text, None), Readers::and);
            let mut line = Vec::new();
            push_series(&mut line, &table, tags_text.iter().copied());
            for (place, name) in names.iter().enumerate() {
                line.push(if place == 0 { b' ' } else { b',' });
                push_name(&mut line, name);
                line.push(b'=');
                match place {
                    0 => push_string(&mut line, &string),
                    1 => assert!(push_float(&mut line, float)),
                    _ => push_int(&mut line, int),
                }
            }
            line.push(b' ');
            push_digits(&mut line, time);
            line.push(b'\n');
            let kinds = [FieldKind::String, FieldKind::Float, FieldKind::Int];
            let expected = Seen {
                table,
                tags,
                names: names.into_iter().zip(kinds).collect(),
                values: vec![string, format!("{:x}", float.to_bits()), int.to_string()],
                time,
                rows: 1,
                refused: None,
            };
            for (place, dialect) in [Dialect::Cnos, Dialect::Influx].into_iter().enumerate() {
                if readers.has(dialect) {
                    let mut seen = Seen::default();
                    Parser::new(dialect).parse(&line, true, &TimeRule::identity(0), &mut seen);
                    let line = String::from_utf8_lossy(&line);
                    assert_eq!(seen, expected, "seed {SEED}, case {case}, {dialect:?}: {line:?}");
                    read[place] += 1;
                }
            }
        }
        assert!(read.iter().all(|count| *count > 2_000), "{read:?}");
    }
}
