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
    if let Some(number) = numbers(text).find(|number| !number.contains('.') && number.parse::<i64>().is_err()) {
        let reason = if number.contains(['e', 'E']) { "invalid syntax" } else { "value out of range" };
        let words = format!("error parsing json value: strconv.ParseInt: parsing \"{number}\": {reason}");
        return Err(Fault::QueryParameters(words));
    }
    members.into_iter().map(|(name, value)| Ok((name, parameter(value)?))).collect()
}

/// The numbers among the members of an object, as they are written. The text is JSON.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (0, 0_usize);
    std::iter::from_fn(move || {
        while let Some(&byte) = bytes.get(at) {
            let begin = at;
            at += 1;
            match byte {
                b'"' => {
                    while bytes.get(at).is_some_and(|byte| *byte != b'"') {
                        at += if bytes[at] == b'\\' { 2 } else { 1 };
                    }
                    at += 1;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                b'-' | b'0'..=b'9' => {
                    let is_of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                    at = begin + bytes[begin..].iter().take_while(|byte| is_of_number(byte)).count();
                    if depth == 1 {
                        return text.get(begin..at);
                    }
                }
                _ => {}
            }
        }
        None
    })
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
        assert_eq!(numbers(r#"{"a":[1],"2":"\"3","b": -4.5e6,"c":{"d":7}}"#).collect::<Vec<_>>(), ["-4.5e6"]);
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
            (
                r#"{"-1":"\"7e1","a":-1E3}"#,
                r#"error parsing json value: strconv.ParseInt: parsing "-1E3": invalid syntax"#,
            ),
            (r#"{"a":99999999999999999999}"#, r#"parsing "99999999999999999999": value out of range"#),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
