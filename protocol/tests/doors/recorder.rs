//! Takes rows through a cache of slots and writes them down.

use std::task::{Context, Poll, Waker};

use tidewire_protocol::row::{
    FieldKind, Halt, LayoutSlot, Next, Position, RawValue, RowDraft, RowError, RowSink, RowTaker, SeriesRef,
    SeriesSlot, SeriesText, SlotCache,
};

/// Writes down what a door gives it, rows and faults in their order.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) cache: SlotCache,
    pub(crate) sink: Sink,
    /// Rows are taken by their texts where these are known; else all are read by the book.
    pub(crate) knows_texts: bool,
    /// Rows that were taken so.
    pub(crate) expected: usize,
    /// What follows a fault.
    pub(crate) next: Next,
    pub(crate) told: Vec<String>,
}

/// The sink behind it.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    series: Vec<String>,
    layouts: Vec<(String, Vec<(String, FieldKind)>)>,
    /// Columns of floats, whatever comes.
    pub(crate) floats: Vec<&'static str>,
    rows: Vec<String>,
    /// Questions asked.
    pub(crate) asked: usize,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            cache: SlotCache::new(1 << 20),
            sink: Sink::default(),
            knows_texts: true,
            expected: 0,
            next: Next::Continue,
            told: Vec::new(),
        }
    }
}

impl RowTaker for Recorder {
    fn take(&mut self, _: Position, draft: &mut RowDraft) -> Result<(), Next> {
        draft.check().expect("a door checks what it gives");
        match self.cache.put(draft, &mut self.sink) {
            Ok(()) => self.told.extend(self.sink.rows.pop()),
            Err(halt) => panic!("this sink takes every row: {halt:?}"),
        }
        Ok(())
    }

    fn take_as(&mut self, position: Position, text: SeriesText<'_>, draft: &mut RowDraft) -> Result<(), Next> {
        if !self.knows_texts {
            return self.take(position, draft);
        }
        draft.check().expect("a door checks what it gives");
        match self.cache.put_as(text, draft, &mut self.sink) {
            Ok(()) => self.told.append(&mut self.sink.rows),
            Err(halt) => panic!("this sink takes every row: {halt:?}"),
        }
        Ok(())
    }

    fn expects<T>(&mut self, is_it: impl FnOnce(SeriesText<'_>) -> Option<T>) -> Option<T> {
        self.cache.expected().and_then(is_it)
    }

    fn expect(&mut self, text: SeriesText<'_>) -> bool {
        self.cache.expect(text)
    }

    fn take_expected(&mut self, position: Position, rows: &mut [(i64, RawValue)]) -> Result<(), Next> {
        self.expected += rows.len();
        let taken = self.cache.put_expected(position, rows, &mut self.sink);
        self.told.append(&mut self.sink.rows);
        taken
    }

    fn fault(&mut self, position: Position, error: RowError) -> Next {
        self.told.push(format!("{position}: {error}"));
        self.next
    }

    async fn turn(&mut self) -> Next {
        Next::Continue
    }
}

/// What a door has read, which waits for nobody but a [`Recorder`].
pub(crate) fn now<T>(read: impl Future<Output = T>) -> T {
    match std::pin::pin!(read).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(read) => read,
        Poll::Pending => panic!("a recorder lets nobody wait"),
    }
}

impl RowSink for Sink {
    type Refusal = String;

    fn series(&mut self, series: SeriesRef<'_>) -> Result<SeriesSlot, Halt<String>> {
        self.asked += 1;
        assert!(series.tags.is_sorted_by(|a, b| a.0 < b.0), "{series:?}");
        assert!(series.tags.iter().all(|(_, value)| !value.is_empty()), "{series:?}");
        let tags: Vec<String> = series.tags.iter().map(|(name, value)| format!(",{name}={value}")).collect();
        self.series.push(format!("{}{}", series.table, tags.concat()));
        Ok(SeriesSlot(self.series.len() as u32 - 1))
    }

    fn layout(&mut self, series: SeriesSlot, fields: &[(&str, FieldKind)]) -> Result<LayoutSlot, Halt<String>> {
        self.asked += 1;
        let table = self.series[series.0 as usize].split(',').next().expect("a table").to_owned();
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{fields:?}");
        self.layouts.push((table, fields.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()));
        Ok(LayoutSlot(self.layouts.len() as u32 - 1))
    }

    fn field_kind(&self, _: SeriesSlot, name: &str) -> Option<FieldKind> {
        self.floats.contains(&name).then_some(FieldKind::Float)
    }

    fn row(
        &mut self,
        series: SeriesSlot,
        layout: LayoutSlot,
        time: i64,
        values: &[RawValue],
        text: &[u8],
    ) -> Result<(), String> {
        let (table, fields) = &self.layouts[layout.0 as usize];
        let series = &self.series[series.0 as usize];
        assert_eq!(series.split(',').next(), Some(table.as_str()), "a layout of another table");
        assert_eq!(fields.len(), values.len());
        let fields: Vec<String> = fields
            .iter()
            .zip(values)
            .map(|((name, kind), value)| match kind {
                FieldKind::Int => format!("{name}={}i", value.int()),
                FieldKind::UInt => format!("{name}={}u", value.uint()),
                FieldKind::Float => format!("{name}={:?}", value.float()),
                FieldKind::Bool => format!("{name}={}", value.bool()),
                FieldKind::String => {
                    format!("{name}={:?}", std::str::from_utf8(value.string(text)).expect("UTF-8"))
                }
            })
            .collect();
        self.rows.push(format!("{series} {} {time}", fields.join(",")));
        Ok(())
    }

    fn refuse(&mut self, _: Position, _: String) -> Next {
        Next::Continue
    }
}

/// What a recorder has of a body that arrives in pieces: each call gets what was not consumed with the next piece
/// behind it. An error of the whole body stands last.
pub(crate) fn told_in_pieces(
    body: &[u8],
    mut piece_bytes: impl FnMut() -> usize,
    mut read: impl FnMut(&[u8], bool, &mut Recorder) -> Result<usize, RowError>,
) -> Vec<String> {
    let mut recorder = Recorder::default();
    let (mut start, mut end) = (0, 0);
    loop {
        end = body.len().min(end + piece_bytes().max(1));
        match read(&body[start..end], end == body.len(), &mut recorder) {
            Ok(consumed) => start += consumed,
            Err(error) => {
                recorder.told.push(format!("body: {error}"));
                return recorder.told;
            }
        }
        if end == body.len() {
            return recorder.told;
        }
    }
}
