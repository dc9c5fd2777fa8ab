//! Refusals of catalog changes in InfluxDB's words.

use tidewire_base::catalog::CatalogError;

/// The words of a refusal. Those of statements and bounds that InfluxDB does not have are ours.
pub fn message(refusal: &CatalogError) -> String {
    match refusal {
        CatalogError::DatabaseNotFound(name) => format!("database not found: {name}"),
        CatalogError::DatabaseProtected(name) => format!("Database {name:?} forbid drop"),
        CatalogError::PolicyNotFound(name) => format!("retention policy not found: {name}"),
        CatalogError::PolicyExists => "retention policy already exists".to_owned(),
        CatalogError::PolicyConflict => "retention policy conflicts with an existing policy".to_owned(),
        CatalogError::ContinuousQueryExists => "continuous query already exists".to_owned(),
        CatalogError::SubscriptionExists => "subscription already exists".to_owned(),
        CatalogError::SubscriptionNotFound(_) => "subscription not found".to_owned(),
        CatalogError::UserNotFound(_) => "user not found".to_owned(),
        CatalogError::UserExists(_) => "user already exists".to_owned(),
        CatalogError::UserUnnamed => "username required".to_owned(),
        CatalogError::PolicyTooShort => "retention policy duration must be at least 1h0m0s".to_owned(),
        CatalogError::PolicyShorterThanPartition => {
            "retention policy duration must be greater than the shard duration".to_owned()
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_base::catalog::error::NameFault;

    #[test]
    fn refusals_have_their_words() {
        let cases = [
            (CatalogError::DatabaseNotFound("d".into()), "database not found: d"),
            (CatalogError::PolicyNotFound("p".into()), "retention policy not found: p"),
            (CatalogError::UserNotFound("u".into()), "user not found"),
            (CatalogError::UserExists("u".into()), "user already exists"),
            (CatalogError::UserUnnamed, "username required"),
            (CatalogError::PolicyConflict, "retention policy conflicts with an existing policy"),
            (
                CatalogError::BadName { name: "time".into(), fault: NameFault::Time },
                "invalid name \"time\": time is the name of the timestamp",
            ),
        ];
        for (refusal, words) in cases {
            assert_eq!(message(&refusal), words);
        }
    }
}
