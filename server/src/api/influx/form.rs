//! The parameters in a body of `/query`: a form as browsers send it, or one in parts, of which one may be a file.

use std::borrow::Cow;

use tidewire_protocol::http::{Query, multipart};

use crate::api::context::parameter;
use crate::api::fault::Fault;

/// Parameters.
pub(super) enum Form<'b> {
    /// `name=value&…`
    Pairs(Query<'b>),
    /// Names and values.
    Parts(Vec<(String, Cow<'b, str>)>),
}

impl<'b> Form<'b> {
    /// The parameters of a body of a type.
    pub(super) fn new(content_type: &str, body: &'b [u8]) -> Result<Self, Fault> {
        let begins =
            |known: &str| content_type.get(..known.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(known));
        if !begins("multipart/form-data") {
            return Ok(Self::Pairs(Query::new(body)));
        }
        let boundary = multipart::boundary(content_type)
            .ok_or_else(|| Fault::QueryParameters("no multipart boundary param in Content-Type".to_owned()))?;
        Ok(Self::Parts(multipart::parts(body, boundary)))
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &'static str) -> Result<Option<String>, Fault> {
        match self {
            Self::Pairs(pairs) => Ok(parameter(pairs, name)?.map(Cow::into_owned)),
            Self::Parts(parts) => {
                let found = parts.iter().find(|(known, _)| known == name);
                Ok(found.map(|(_, value)| value.clone().into_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--x-1\r\nContent-Disposition: form-data; name=\"db\"\r\n\r\nd\r\n--x-1\r\n\
                        content-disposition: form-data; name=q; filename=\"a;b.txt\"\r\n\
                        Content-Type: text/plain\r\n\r\nSHOW DATABASES;\r\n--x\r\n\r\n--x-1--\r\n";

    #[test]
    fn parts_have_names_and_values_and_a_file_is_one() {
        let form = Form::new("multipart/form-data; boundary=\"x-1\"", BODY.as_bytes()).unwrap();
        assert_eq!(form.parameter("db").unwrap().unwrap(), "d");
        assert_eq!(form.parameter("q").unwrap().unwrap(), "SHOW DATABASES;\r\n--x\r\n");
        assert_eq!(form.parameter("rp").unwrap(), None);
    }

    #[test]
    fn a_body_that_is_cut_anywhere_is_read_as_far_as_it_goes() {
        for end in 0..BODY.len() {
            let form = Form::new("multipart/form-data; boundary=x-1", &BODY.as_bytes()[..end]).unwrap();
            assert!(form.parameter("rp").unwrap().is_none(), "{end}");
        }
        assert!(Form::new("multipart/form-data", b"").is_err());
    }

    #[test]
    fn pairs_are_those_of_a_url() {
        let form = Form::new("application/x-www-form-urlencoded; charset=utf-8", b"q=a+b%2B&db=").unwrap();
        assert_eq!(form.parameter("q").unwrap().unwrap(), "a b+");
    }
}
