//! Refusals of catalog changes in CnosDB's codes and words.

use tidewire_storage::schema::{ColumnKind, FieldType, database_name, tenant_and_database};

use tidewire_base::catalog::CatalogError;

/// A resource of the server is exhausted: memory, or space on the disk.
pub(super) const EXHAUSTED: &str = "050033";

/// The code of a refusal.
pub fn code(refusal: &CatalogError) -> &'static str {
    match refusal {
        CatalogError::DatabaseNotFound(_) => "030017",
        CatalogError::DatabaseProtected(_) => "010065",
        CatalogError::DatabaseExists(_) => "030018",
        CatalogError::TableNotFound { .. } => "030019",
        CatalogError::TableExists(_) | CatalogError::ExternalTable(_) => "030020",
        CatalogError::UserExists(_) => "030007",
        CatalogError::UserNotFound(_) => "030008",
        CatalogError::MemberExists(_) => "030001",
        CatalogError::MemberNotFound(_) => "030002",
        CatalogError::RoleExists(_) => "030005",
        CatalogError::RoleNotFound(_) => "030006",
        CatalogError::TenantExists(_) => "030009",
        CatalogError::TenantNotFound(_) => "030010",
        CatalogError::TenantLimit { .. } => "030024",
        CatalogError::NotGranted { .. } => "030056",
        CatalogError::TenantProtected(_) => "010064",
        CatalogError::TenantUnlimited(_) => "010075",
        CatalogError::RoleProtected(_) => "010076",
        CatalogError::ColumnExists { .. } => "010028",
        CatalogError::ColumnNotFound { .. } => "010029",
        CatalogError::TagNotDroppable(_) => "010030",
        CatalogError::LastField => "010032",
        CatalogError::TimeNotDroppable | CatalogError::TimeNotRenamable => "010033",
        CatalogError::ColumnConflict { .. }
        | CatalogError::TooManyColumns { .. }
        | CatalogError::BadName { .. }
        | CatalogError::UserUnnamed
        | CatalogError::PolicyNotFound(_)
        | CatalogError::PolicyExists
        | CatalogError::PolicyConflict
        | CatalogError::ContinuousQueryExists
        | CatalogError::SubscriptionExists
        | CatalogError::SubscriptionNotFound(_)
        | CatalogError::TooManyDestinations { .. }
        | CatalogError::PolicyTooShort
        | CatalogError::PolicyShorterThanPartition => "050014",
        CatalogError::NotSaved(_) => "050001",
        CatalogError::NoSpace(_) => EXHAUSTED,
    }
}

/// The HTTP status of a refusal.
pub fn status(refusal: &CatalogError) -> u16 {
    match refusal {
        CatalogError::NotSaved(_) => 500,
        CatalogError::NoSpace(_) => 507,
        _ => 422,
    }
}

/// The words of a refusal. Those that CnosDB cannot come to, since they are about retention policies or bounds of our
/// own, are InfluxDB's or ours.
pub fn message(refusal: &CatalogError) -> String {
    match refusal {
        CatalogError::DatabaseNotFound(name) => format!("Database not found: \"{}\"", database_name(name)),
        CatalogError::DatabaseProtected(name) => format!("Database {:?} forbid drop", database_name(name)),
        CatalogError::DatabaseExists(name) => format!("Database \"{}\" already exists", database_name(name)),
        CatalogError::TableNotFound { database, table } => {
            let (tenant, database) = tenant_and_database(database);
            format!("Table not found: \"{tenant}.{database}.{table}\"")
        }
        CatalogError::TableExists(name) => format!("Table {name} already exists."),
        CatalogError::MemberExists(name) => format!("The member {name} already exists"),
        CatalogError::MemberNotFound(name) => format!("The member {name} not found"),
        CatalogError::RoleExists(name) => format!("The role {name} already exists"),
        CatalogError::RoleNotFound(name) => format!("The role {name} not found"),
        CatalogError::TenantExists(name) => format!("The tenant {name} already exists"),
        CatalogError::TenantNotFound(name) => format!("The tenant {name} not found"),
        CatalogError::TenantProtected(name) => format!("Tenant \"{name}\" forbid drop"),
        CatalogError::TenantUnlimited(name) => format!("Can't set limiter for system tenant {name}"),
        CatalogError::RoleProtected(name) => format!("Couldn't drop system role {name}"),
        CatalogError::UserExists(name) => format!("The user {name} already exists"),
        CatalogError::UserNotFound(name) => format!("The user {name} not found"),
        CatalogError::ColumnConflict { column, wanted, found, .. } => conflict(column, *wanted, *found),
        CatalogError::ColumnExists { table, column } => {
            format!("Semantic error:  column {column} already exists in table {table}")
        }
        CatalogError::ColumnNotFound { table, column } => {
            format!("Semantic error:  column {column} not exists in table {table}")
        }
        CatalogError::TagNotDroppable(name) => format!("Semantic error: Can't drop tag column {name}."),
        CatalogError::LastField => "Semantic error: There must be at least one field column.".to_owned(),
        CatalogError::TimeNotRenamable => "Semantic error: The column time cannot be renamed.".to_owned(),
        CatalogError::TimeNotDroppable => "Semantic error: There must be at least one tag column. ".to_owned(),
        CatalogError::PolicyNotFound(name) => format!("retention policy not found: {name}"),
        CatalogError::PolicyExists => "retention policy already exists".to_owned(),
        CatalogError::PolicyConflict => "retention policy conflicts with an existing policy".to_owned(),
        CatalogError::PolicyTooShort => "retention policy duration must be at least 1h0m0s".to_owned(),
        CatalogError::PolicyShorterThanPartition => {
            "retention policy duration must be greater than the shard duration".to_owned()
        }
        CatalogError::BadName { .. }
        | CatalogError::TenantLimit { .. }
        | CatalogError::NotGranted { .. }
        | CatalogError::UserUnnamed
        | CatalogError::ExternalTable(_)
        | CatalogError::TooManyColumns { .. }
        | CatalogError::ContinuousQueryExists
        | CatalogError::SubscriptionExists
        | CatalogError::SubscriptionNotFound(_)
        | CatalogError::TooManyDestinations { .. }
        | CatalogError::NotSaved(_)
        | CatalogError::NoSpace(_) => refusal.to_string(),
    }
}

/// The words of a refused DROP TABLE, which prints the bare name of a table that is not there.
pub fn drop_table_message(refusal: &CatalogError) -> String {
    match refusal {
        CatalogError::TableNotFound { table, .. } => format!("Table not found: \"{table}\""),
        other => message(other),
    }
}

/// Short names of column types, as conflict messages spell them.
pub fn kind_name(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Tag => "TAG",
        ColumnKind::Field(FieldType::Int) => "I64",
        ColumnKind::Field(FieldType::UInt) => "U64",
        ColumnKind::Field(FieldType::Float) => "F64",
        ColumnKind::Field(FieldType::Bool) => "BOOL",
        ColumnKind::Field(FieldType::String) => "STRING",
    }
}

/// The refusal of a column whose type differs.
pub fn conflict(column: &str, wanted: ColumnKind, found: ColumnKind) -> String {
    format!(
        "Apply engine failed: DataSchemaError: Column '{column}' type error, found {} expected {}",
        kind_name(wanted),
        kind_name(found)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_their_codes_and_words() {
        let (t, x) = (|| "t".to_owned(), || "x".to_owned());
        let (wanted, found) = (ColumnKind::Field(FieldType::Float), ColumnKind::Field(FieldType::Int));
        let cases = [
            (CatalogError::LastField, "010032", "Semantic error: There must be at least one field column."),
            (CatalogError::TagNotDroppable("h".into()), "010030", "Semantic error: Can't drop tag column h."),
            (CatalogError::TimeNotDroppable, "010033", "Semantic error: There must be at least one tag column. "),
            (
                CatalogError::ColumnExists { table: t(), column: x() },
                "010028",
                "Semantic error:  column x already exists in table t",
            ),
            // The binder's words for a codec.
            (
                CatalogError::ColumnNotFound { table: t(), column: x() },
                "010029",
                "Semantic error:  column x not exists in table t",
            ),
            (
                CatalogError::ColumnConflict { table: t(), column: x(), wanted, found },
                "050014",
                "Apply engine failed: DataSchemaError: Column 'x' type error, found F64 expected I64",
            ),
            (
                CatalogError::TableNotFound { database: "d".into(), table: t() },
                "030019",
                "Table not found: \"cnosdb.d.t\"",
            ),
            (CatalogError::UserExists(x()), "030007", "The user x already exists"),
            (CatalogError::UserNotFound(x()), "030008", "The user x not found"),
            (CatalogError::NotSaved(x()), "050001", "the catalog cannot be saved: x"),
        ];
        for (refusal, expected_code, words) in cases {
            assert_eq!((code(&refusal), &*message(&refusal)), (expected_code, words));
            assert_eq!(status(&refusal), if expected_code == "050001" { 500 } else { 422 });
        }
        let missing = CatalogError::TableNotFound { database: "d".into(), table: t() };
        assert_eq!(drop_table_message(&missing), "Table not found: \"t\"");
    }
}
