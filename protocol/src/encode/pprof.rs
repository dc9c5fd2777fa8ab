//! Profiles in the format that pprof's tools read: the message `Profile` of its `profile.proto`, and the text that a
//! person reads instead.
//!
//! A profile is built stack by stack ([`Profile::add`]). Names stand once in a table of strings, and so does each frame
//! of all stacks: a location with a line for each function that was inlined there, the innermost first.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::protobuf::push_varint;

/// What a column of values counts, and in what unit.
pub type ValueType = (&'static str, &'static str);

/// A place in the program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Line {
    /// The function's name.
    pub function: String,
    /// The source file; empty where it is not known.
    pub file: String,
    /// The line in it; 0 where it is not known.
    pub line: u32,
}

impl Line {
    /// A place that is only a name.
    pub fn named(function: impl Into<String>) -> Self {
        Self { function: function.into(), ..Self::default() }
    }
}

/// A frame of a stack: an address, and what stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Frame {
    /// The address; 0 where the frame is a thing and not a place in memory.
    pub address: u64,
    /// The function, before it those that were inlined into it.
    pub lines: Vec<Line>,
}

impl Frame {
    /// A frame that is only a name.
    pub fn named(name: impl Into<String>) -> Self {
        Self { address: 0, lines: vec![Line::named(name)] }
    }
}

/// A stack with its values.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample {
    /// Places of its frames, from the innermost on.
    frames: Vec<usize>,
    values: Vec<i64>,
    labels: Vec<(&'static str, String)>,
}

/// A profile.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    value_types: Vec<ValueType>,
    samples: Vec<Sample>,
    frames: Vec<Frame>,
    places: HashMap<Frame, usize>,
    comments: Vec<String>,
    period: Option<(ValueType, i64)>,
    time_ns: i64,
    duration_ns: i64,
}

impl Profile {
    /// A profile without samples, made at a time, whose samples have values of these types; the last is what tools show
    /// first.
    pub fn new(value_types: &[ValueType], time_ns: i64) -> Self {
        Self { value_types: value_types.to_vec(), time_ns, ..Self::default() }
    }

    /// Says how much of what lies between two samples.
    pub fn set_period(&mut self, of: ValueType, period: i64) {
        self.period = Some((of, period));
    }

    /// Says how long was watched.
    pub fn set_duration(&mut self, ns: i64) {
        self.duration_ns = ns;
    }

    /// Adds what a reader should know.
    pub fn comment(&mut self, text: impl Into<String>) {
        self.comments.push(text.into());
    }

    /// Adds a stack, from its innermost frame on, with a value of each type.
    pub fn add(
        &mut self,
        stack: impl IntoIterator<Item = Frame>,
        values: &[i64],
        labels: impl IntoIterator<Item = (&'static str, String)>,
    ) {
        let frames = stack.into_iter().map(|frame| self.place(frame)).collect();
        self.samples.push(Sample { frames, values: values.to_vec(), labels: labels.into_iter().collect() });
    }

    fn place(&mut self, frame: Frame) -> usize {
        match self.places.get(&frame) {
            Some(place) => *place,
            None => {
                self.frames.push(frame.clone());
                self.places.insert(frame, self.frames.len() - 1);
                self.frames.len() - 1
            }
        }
    }

    /// The message.
    pub fn encode(&self) -> Vec<u8> {
        let mut strings = Strings::default();
        strings.number("");
        let mut out = Vec::new();
        for of in &self.value_types {
            message(&mut out, 1, &value_type(&mut strings, *of));
        }
        for sample in &self.samples {
            let mut body = Vec::new();
            // Ids begin at 1.
            packed(&mut body, 1, sample.frames.iter().map(|place| *place as u64 + 1));
            packed(&mut body, 2, sample.values.iter().map(|value| *value as u64));
            for (key, value) in &sample.labels {
                let mut label = Vec::new();
                varint_field(&mut label, 1, strings.number(key));
                varint_field(&mut label, 2, strings.number(value));
                message(&mut body, 3, &label);
            }
            message(&mut out, 2, &body);
        }
        let mut functions: HashMap<(&str, &str), u64> = HashMap::new();
        let mut function_messages = Vec::new();
        for (place, frame) in self.frames.iter().enumerate() {
            let mut location = Vec::new();
            varint_field(&mut location, 1, place as u64 + 1);
            varint_field(&mut location, 3, frame.address);
            for line in &frame.lines {
                let next = functions.len() as u64 + 1;
                let id = *functions.entry((&line.function, &line.file)).or_insert(next);
                if id == next {
                    let name = strings.number(&line.function);
                    let mut function = Vec::new();
                    varint_field(&mut function, 1, id);
                    varint_field(&mut function, 2, name);
                    varint_field(&mut function, 3, name);
                    varint_field(&mut function, 4, strings.number(&line.file));
                    message(&mut function_messages, 5, &function);
                }
                let mut body = Vec::new();
                varint_field(&mut body, 1, id);
                varint_field(&mut body, 2, u64::from(line.line));
                message(&mut location, 4, &body);
            }
            message(&mut out, 4, &location);
        }
        out.extend_from_slice(&function_messages);
        let period = self.period.map(|(of, period)| (value_type(&mut strings, of), period));
        let comments: Vec<u64> = self.comments.iter().map(|text| strings.number(text)).collect();
        for text in &strings.texts {
            message(&mut out, 6, text.as_bytes());
        }
        varint_field(&mut out, 9, self.time_ns as u64);
        varint_field(&mut out, 10, self.duration_ns as u64);
        if let Some((of, period)) = period {
            message(&mut out, 11, &of);
            varint_field(&mut out, 12, period as u64);
        }
        packed(&mut out, 13, comments.into_iter());
        out
    }

    /// The profile as a text: how much in all, then each stack with its values, those with most of the last value
    /// first.
    pub fn text(&self, name: &str) -> String {
        let mut text = String::new();
        let last = |sample: &Sample| sample.values.last().copied().unwrap_or(0);
        // Writing to a String cannot fail.
        let _ = write!(text, "{name} profile:");
        for (at, (kind, unit)) in self.value_types.iter().enumerate() {
            let total = self.samples.iter().filter_map(|sample| sample.values.get(at)).sum::<i64>();
            let _ = write!(text, "{} {total} {unit} ({kind})", if at == 0 { "" } else { "," });
        }
        text.push('\n');
        for comment in &self.comments {
            let _ = writeln!(text, "# {comment}");
        }
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by_key(|sample| std::cmp::Reverse(last(sample)));
        for sample in samples {
            let values: Vec<String> = sample.values.iter().map(i64::to_string).collect();
            let _ = write!(text, "\n{} @", values.join(" "));
            for (key, value) in &sample.labels {
                let _ = write!(text, " {key}={value:?}");
            }
            text.push('\n');
            for frame in sample.frames.iter().map(|place| &self.frames[*place]) {
                let _ = write!(text, "#\t");
                if frame.address != 0 {
                    let _ = write!(text, "{:#x}\t", frame.address);
                }
                for (at, line) in frame.lines.iter().enumerate() {
                    let _ = write!(text, "{}{}", if at == 0 { "" } else { " < " }, line.function);
                    if !line.file.is_empty() {
                        let _ = write!(text, " {}:{}", line.file, line.line);
                    }
                }
                text.push('\n');
            }
        }
        text
    }
}

/// The table of strings.
#[derive(Default)]
struct Strings {
    texts: Vec<String>,
    numbers: HashMap<String, u64>,
}

impl Strings {
    fn number(&mut self, text: &str) -> u64 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u64;
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

fn value_type(strings: &mut Strings, (kind, unit): ValueType) -> Vec<u8> {
    let mut body = Vec::new();
    varint_field(&mut body, 1, strings.number(kind));
    varint_field(&mut body, 2, strings.number(unit));
    body
}

/// A field that is a number; 0 is what one has that is not there.
fn varint_field(out: &mut Vec<u8>, number: u32, value: u64) {
    if value != 0 {
        push_varint(out, u64::from(number) << 3);
        push_varint(out, value);
    }
}

/// A field that is a message or a text.
fn message(out: &mut Vec<u8>, number: u32, body: &[u8]) {
    push_varint(out, u64::from(number) << 3 | 2);
    push_varint(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// A field that is several numbers.
fn packed(out: &mut Vec<u8>, number: u32, values: impl Iterator<Item = u64>) {
    let mut body = Vec::new();
    values.for_each(|value| push_varint(&mut body, value));
    if !body.is_empty() {
        message(out, number, &body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Profile {
        let mut profile = Profile::new(&[("samples", "count"), ("cpu", "nanoseconds")], 5);
        let inlined = Line { function: "inner".to_owned(), file: "a.rs".to_owned(), line: 7 };
        let outer = Line { function: "outer".to_owned(), file: "b.rs".to_owned(), line: 300 };
        let frame = Frame { address: 0x1000, lines: vec![inlined, outer] };
        profile.add([frame.clone(), Frame::named("main")], &[2, 20], [("thread", "core-0".to_owned())]);
        profile.add([frame], &[3, 30], []);
        profile.set_period(("cpu", "nanoseconds"), 10);
        profile.set_duration(400);
        profile.comment("c");
        profile
    }

    #[test]
    fn a_message_is_what_its_definition_says() {
        let expected: Vec<u8> = [
            &[0x0a, 4, 8, 1, 16, 2, 0x0a, 4, 8, 3, 16, 4][..],
            &[0x12, 14, 0x0a, 2, 1, 2, 0x12, 2, 2, 20, 0x1a, 4, 8, 5, 16, 6],
            &[0x12, 7, 0x0a, 1, 1, 0x12, 2, 3, 30],
            &[0x22, 18, 8, 1, 24, 0x80, 0x20, 0x22, 4, 8, 1, 16, 7, 0x22, 5, 8, 2, 16, 0xac, 2],
            &[0x22, 6, 8, 2, 0x22, 2, 8, 3],
            &[0x2a, 8, 8, 1, 16, 7, 24, 7, 32, 8, 0x2a, 8, 8, 2, 16, 9, 24, 9, 32, 10, 0x2a, 6, 8, 3, 16, 11, 24, 11],
            &[0x32, 0],
            b"\x32\x07samples\x32\x05count\x32\x03cpu\x32\x0bnanoseconds\x32\x06thread\x32\x06core-0",
            b"\x32\x05inner\x32\x04a.rs\x32\x05outer\x32\x04b.rs\x32\x04main\x32\x01c",
            &[0x48, 5, 0x50, 0x90, 3, 0x5a, 4, 8, 3, 16, 4, 0x60, 10, 0x6a, 1, 12],
        ]
        .concat();
        assert_eq!(sample().encode(), expected);
    }

    #[test]
    fn a_text_has_the_largest_stack_first() {
        let expected = "cpu profile: 5 count (samples), 50 nanoseconds (cpu)\n# c\n\n3 30 @\n\
                        #\t0x1000\tinner a.rs:7 < outer b.rs:300\n\n2 20 @ thread=\"core-0\"\n\
                        #\t0x1000\tinner a.rs:7 < outer b.rs:300\n#\tmain\n";
        assert_eq!(sample().text("cpu"), expected);
    }

    #[test]
    fn a_profile_without_samples_is_one() {
        let empty = Profile::new(&[("contentions", "count")], 0);
        let expected = [&[0x0a, 4, 8, 1, 16, 2, 0x32, 0][..], b"\x32\x0bcontentions\x32\x05count"].concat();
        assert_eq!(empty.encode(), expected);
        assert_eq!(empty.text("mutex"), "mutex profile: 0 count (contentions)\n");
    }
}
