//! `/api/v2/write`: how InfluxDB 2 names what 1.x calls a database and a retention policy.

/// Why a bucket names no database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::api) enum BadBucket {
    /// It names nothing.
    #[error("bucket name {0:?} is missing a slash; not in \"database/retention-policy\" format")]
    NoDatabase(String),
    /// A policy of no database.
    #[error("bucket name {0:?} is in db/rp form but has an empty database")]
    EmptyDatabase(String),
}

/// Database and policy of a bucket: `database` or `database/policy`; no policy is the default one.
pub(in crate::api) fn database_and_policy(bucket: &str) -> Result<(&str, Option<&str>), BadBucket> {
    match bucket.split_once('/') {
        None if bucket.is_empty() => Err(BadBucket::NoDatabase(bucket.to_owned())),
        None => Ok((bucket, None)),
        Some(("", _)) => Err(BadBucket::EmptyDatabase(bucket.to_owned())),
        Some((database, policy)) => Ok((database, Some(policy).filter(|policy| !policy.is_empty()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_a_database_and_perhaps_a_policy() {
        assert_eq!(database_and_policy("d"), Ok(("d", None)));
        assert_eq!(database_and_policy("d/"), Ok(("d", None)));
        assert_eq!(database_and_policy("d/p/q"), Ok(("d", Some("p/q"))));
        for (bucket, words) in [
            ("", "bucket name \"\" is missing a slash; not in \"database/retention-policy\" format"),
            ("/p", "bucket name \"/p\" is in db/rp form but has an empty database"),
        ] {
            assert_eq!(database_and_policy(bucket).unwrap_err().to_string(), words);
        }
    }
}
