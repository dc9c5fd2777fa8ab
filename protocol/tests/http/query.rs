//! Query strings and forms.

use tidewire_protocol::http::{BadQuery, Query, decode_segment};

fn get<'a>(text: &'a str, name: &str) -> Option<std::borrow::Cow<'a, str>> {
    Query::new(text).get(name).unwrap()
}

#[test]
fn values() {
    let text = "db=example&precision=ms&q=SELECT+%2A%20FROM+cpu&empty=&flag&&db=second&=x&a=b=c&%71%32=two&caf%C3%A9=%E2%82%AC";
    assert_eq!(get(text, "db").as_deref(), Some("example"));
    assert_eq!(get(text, "precision").as_deref(), Some("ms"));
    assert_eq!(get(text, "q").as_deref(), Some("SELECT * FROM cpu"));
    assert_eq!(get(text, "empty").as_deref(), Some(""));
    assert_eq!(get(text, "flag").as_deref(), Some(""));
    assert_eq!(get(text, "").as_deref(), Some("x"));
    assert_eq!(get(text, "a").as_deref(), Some("b=c"));
    assert_eq!(get(text, "q2").as_deref(), Some("two"));
    assert_eq!(get(text, "café").as_deref(), Some("€"));
    assert_eq!(get(text, "missing"), None);
    assert_eq!(get("", "db"), None);
    assert!(matches!(get(text, "db"), Some(std::borrow::Cow::Borrowed(_))), "a plain value is not copied");
}

#[test]
fn pairs_in_order() {
    let pairs: Vec<_> = Query::new(b"a=1&b=%32&a=3").pairs().map(Result::unwrap).collect();
    let expected = [("a", "1"), ("b", "2"), ("a", "3")].map(|(name, value)| (name.into(), value.into()));
    assert_eq!(pairs, expected);
}

#[test]
fn mistakes_name_the_parameter_and_spare_the_others() {
    let text = "good=1&bad=%zz&cut=%4&end=%&bytes=%ff";
    assert_eq!(get(text, "good").as_deref(), Some("1"));
    for name in ["bad", "cut", "end"] {
        assert_eq!(Query::new(text).get(name), Err(BadQuery::Escape { name: name.to_owned() }));
    }
    assert_eq!(Query::new(text).get("bytes"), Err(BadQuery::Utf8 { name: "bytes".to_owned() }));
    assert_eq!(Query::new(b"q=\xff").get("q"), Err(BadQuery::Utf8 { name: "q".to_owned() }));
    assert_eq!(BadQuery::Utf8 { name: "q".to_owned() }.to_string(), "parameter \"q\" is not UTF-8");
}

#[test]
fn a_segment_of_a_path_is_decoded_or_refused() {
    for (segment, text) in [("logs", "logs"), ("a%20b", "a b"), ("a+b", "a+b"), ("%2F+%C3%A9", "/+é"), ("", "")] {
        assert_eq!(decode_segment(segment, "index").as_deref(), Ok(text));
    }
    for bad in ["a%zz", "a%2", "%", "%ff"] {
        assert!(decode_segment(bad, "index").is_err(), "{bad}");
    }
}

#[test]
fn a_name_is_compared_as_it_is_meant() {
    assert_eq!(get("x+=1&x%2B=2", "x+").as_deref(), Some("2"));
    assert_eq!(get("x+=1&x%2B=2", "x ").as_deref(), Some("1"));
    assert_eq!(get("%64b=1&db=2", "db").as_deref(), Some("1"));
}
