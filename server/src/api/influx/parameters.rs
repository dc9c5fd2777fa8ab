//! `params` of `/query`: an object of JSON whose members statements refer to as `$name`.

use serde_json::Value;
use tidewire_sql::influxql::{Literal, Parameter, Parameters};

use crate::api::fault::Fault;

/// How a refusal of a value begins that is of no type that can be bound.
const NOT_BOUND: &str = "unable to bind parameter with type";

/// Reads the object.
pub(super) fn read(text: &str) -> Result<Parameters, Fault> {
    let refused = |reason: String| Fault::QueryParameters(format!("error parsing query parameters: {reason}"));
    let value: Value = serde_json::from_str(text).map_err(|error| match error.is_eof() {
        true => refused("unexpected EOF".to_owned()),
        false => refused(error.to_string()),
    })?;
    let Value::Object(members) = value else {
        let kind = match value {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Null => return Ok(Parameters::new()),
            _ => "number",
        };
        return Err(refused(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}")));
    };
    members.into_iter().map(|(name, value)| Ok((name, parameter(value)?))).collect()
}

fn parameter(value: Value) -> Result<Parameter, Fault> {
    let refused = |reason: String| Fault::QueryParameters(format!("error parsing query: missing parameter: {reason}"));
    Ok(match value {
        Value::Null => return Err(refused(format!("{NOT_BOUND} <nil>"))),
        Value::Array(_) => return Err(refused(format!("{NOT_BOUND} []interface {{}}"))),
        Value::Bool(value) => Parameter::Literal(Literal::Bool(value)),
        Value::String(text) => Parameter::Literal(Literal::Text(text)),
        Value::Number(number) => Parameter::Literal(match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Literal::Integer(value),
            (None, Some(value)) => Literal::Number(value),
            (None, None) => return Err(refused(format!("{NOT_BOUND} json.Number"))),
        }),
        Value::Object(members) => {
            let mut members = members.into_iter();
            let (Some((kind, value)), None) = (members.next(), members.next()) else {
                return Err(refused("bound object parameter value must have exactly one entry".to_owned()));
            };
            match (kind.as_str(), value) {
                ("identifier" | "ident", Value::String(name)) => Parameter::Name(name),
                ("regex", Value::String(text)) => Parameter::Regex(text),
                ("string", Value::String(text)) => Parameter::Literal(Literal::Text(text)),
                ("float" | "number", Value::Number(number)) => {
                    Parameter::Literal(Literal::Number(number.as_f64().unwrap_or_default()))
                }
                ("integer" | "int", Value::Number(number)) => {
                    Parameter::Literal(Literal::Integer(number.as_i64().unwrap_or_default()))
                }
                ("duration", Value::Number(ns)) => {
                    Parameter::Literal(Literal::Duration(ns.as_i64().unwrap_or_default()))
                }
                (kind, _) => return Err(refused(format!("unknown bind object type: {kind}"))),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_literals_names_and_patterns() {
        let read = read(r#"{"a":1,"b":1.5,"c":"x","d":true,"e":{"identifier":"m"},"f":{"regex":"^a"}}"#).unwrap();
        assert_eq!(read["a"], Parameter::Literal(Literal::Integer(1)));
        assert_eq!(read["b"], Parameter::Literal(Literal::Number(1.5)));
        assert_eq!(read["c"], Parameter::Literal(Literal::Text("x".to_owned())));
        assert_eq!(read["d"], Parameter::Literal(Literal::Bool(true)));
        assert_eq!(read["e"], Parameter::Name("m".to_owned()));
        assert_eq!(read["f"], Parameter::Regex("^a".to_owned()));
    }

    #[test]
    fn what_cannot_be_bound_is_refused() {
        for (text, words) in [
            ("{", "error parsing query parameters: unexpected EOF"),
            ("[1]", "cannot unmarshal array"),
            (r#"{"a":null}"#, "<nil>"),
            (r#"{"a":[]}"#, "[]interface {}"),
            (r#"{"a":{}}"#, "exactly one entry"),
            (r#"{"a":{"b":1}}"#, "unknown bind object type: b"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
