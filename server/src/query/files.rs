//! The files that a query reads, and what else is done with files: beside the core, on its thread for them.
//!
//! A step of a reading is one call there. What it may take of memory is reserved in the query's account before, and
//! between two steps the query looks whether it is still wanted.

use std::sync::Arc;

use arrow_array::RecordBatch;
use tidewire_files::{FileError, Folders, Reading, Step};
use tidewire_sql::exec::{ExecError, QueryContext, Reservation};
use tidewire_sql::plan::ExternalScan;
use tidewire_sql::stage::{FileStage, StageId};

use crate::ring::with_files;

/// Makes a call on the thread for files.
pub async fn beside<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, ExecError> {
    match with_files(call).await {
        Ok(done) => done.map_err(|error| ExecError::Execution(error.to_string())),
        Err(error) => Err(ExecError::Internal(format!("files were not read or written: {error}"))),
    }
}

/// The readings of a query, the stage that is read next last.
pub(super) struct FileReads {
    folders: Arc<Folders>,
    context: QueryContext,
    open: Vec<FileRead>,
}

struct FileRead {
    stage: StageId,
    scan: Arc<ExternalScan>,
    /// `None` before it begins, and while a step goes on.
    reading: Option<Reading>,
    memory: Reservation,
}

impl FileReads {
    pub(super) fn new(folders: &Arc<Folders>, stages: Vec<FileStage>, context: &QueryContext) -> Self {
        let open = stages.into_iter().map(|FileStage { stage, scan }| FileRead {
            stage,
            scan,
            reading: None,
            memory: context.reservation(),
        });
        Self { folders: Arc::clone(folders), context: context.clone(), open: open.collect() }
    }

    /// The stage that is read next.
    pub(super) fn stage(&self) -> Option<StageId> {
        self.open.last().map(|read| read.stage)
    }

    /// Reads on in `stage`; `None` at its end, after which the next one's turn has come.
    pub(super) async fn next_of(&mut self, stage: StageId) -> Result<Option<RecordBatch>, ExecError> {
        let Some(read) = self.open.last_mut().filter(|read| read.stage == stage) else { return Ok(None) };
        self.context.check()?;
        if read.memory.bytes() == 0 {
            read.memory.resize(Reading::BYTES)?;
        }
        loop {
            let (folders, scan, open) = (Arc::clone(&self.folders), Arc::clone(&read.scan), read.reading.take());
            let room = usize::try_from(read.memory.bytes()).unwrap_or(usize::MAX);
            let (reading, step) = beside(move || {
                let mut reading = open.map_or_else(|| Reading::new(&folders, scan), Ok)?;
                let step = reading.next(room)?;
                Ok((reading, step))
            })
            .await?;
            read.reading = Some(reading);
            match step {
                Step::Rows(rows) => return Ok(Some(rows)),
                Step::Wants(bytes) => read.memory.resize(bytes)?,
                Step::End => {
                    self.skip();
                    return Ok(None);
                }
            }
            self.context.check()?;
        }
    }

    /// Nobody wants the rows of that stage any more.
    pub(super) fn skip(&mut self) {
        self.open.pop();
    }
}
