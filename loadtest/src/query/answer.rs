//! Counting the rows of an answer.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Format;
use super::tsbs::Language;

#[derive(Deserialize)]
struct Influx {
    #[serde(default)]
    results: Vec<InfluxResult>,
}

#[derive(Deserialize)]
struct InfluxResult {
    error: Option<String>,
    #[serde(default)]
    series: Vec<InfluxSeries>,
}

#[derive(Deserialize)]
struct InfluxSeries {
    #[serde(default)]
    values: Vec<IgnoredAny>,
}

/// Rows in a reply's body; the error says what is wrong with it.
pub(super) fn count_rows(language: Language, format: Format, body: &[u8]) -> Result<u64, String> {
    match (language, format) {
        (Language::Sql | Language::SqlInFull, Format::Csv) => Ok((lines(body) as u64).saturating_sub(1)),
        (Language::Sql | Language::SqlInFull, Format::Json) if body.is_empty() => Ok(0),
        (Language::Sql | Language::SqlInFull, Format::Json) => {
            let rows: Vec<IgnoredAny> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            Ok(rows.len() as u64)
        }
        (Language::Influxql, Format::Csv) => {
            let rows = body.split(|&byte| byte == b'\n').filter(|line| !line.is_empty() && !line.starts_with(b"name,"));
            Ok(rows.count() as u64)
        }
        (Language::Influxql, Format::Json) => {
            let answer: Influx = serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let mut rows = 0;
            for result in answer.results {
                if let Some(error) = result.error {
                    return Err(error);
                }
                rows += result.series.iter().map(|series| series.values.len() as u64).sum::<u64>();
            }
            Ok(rows)
        }
    }
}

fn lines(body: &[u8]) -> usize {
    let breaks = body.iter().filter(|&&byte| byte == b'\n').count();
    breaks + usize::from(body.last().is_some_and(|&byte| byte != b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sql_answers() {
        let csv = |body: &str| count_rows(Language::Sql, Format::Csv, body.as_bytes());
        assert_eq!(csv(""), Ok(0));
        assert_eq!(csv("a,b\n"), Ok(0));
        assert_eq!(csv("a,b\n1,2\n3,4\n"), Ok(2));
        assert_eq!(csv("a,b\n1,2"), Ok(1));
        let json = |body: &str| count_rows(Language::Sql, Format::Json, body.as_bytes());
        assert_eq!(json(""), Ok(0));
        assert_eq!(json(r#"[{"a":"}{"},{"a":1}]"#), Ok(2));
        assert!(json(r#"[{"a":1}"#).is_err());
    }

    #[test]
    fn influx_answers() {
        let json = |body: &str| count_rows(Language::Influxql, Format::Json, body.as_bytes());
        assert_eq!(json(r#"{"results":[{"statement_id":0}]}"#), Ok(0));
        let two = r#"{"results":[{"series":[{"name":"cpu","values":[[1,2]]},{"name":"cpu","values":[[1,2],[2,3]]}]}]}"#;
        assert_eq!(json(two), Ok(3));
        assert_eq!(json(r#"{"results":[{"error":"no such db"}]}"#), Err("no such db".to_owned()));
        let csv = count_rows(Language::Influxql, Format::Csv, b"name,tags,time,max\ncpu,,1,2\ncpu,,2,3\n");
        assert_eq!(csv, Ok(2));
    }
}
