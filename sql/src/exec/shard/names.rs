//! What the columns of a fragment's scan are called.

use crate::exec::eval::Names;
use crate::plan::ScanColumn;
use crate::stage::Fragment;

impl Names for Fragment {
    fn name(&self, at: usize) -> Option<&str> {
        match self.columns.get(at)? {
            ScanColumn::Time => Some("time"),
            ScanColumn::Tag(id) | ScanColumn::Field(id, _) => {
                self.table.column_by_id(*id).map(|column| column.name.as_ref())
            }
        }
    }
}
