//! From a path to its endpoint, without an allocation.
//!
//! 1. Paths without placeholders are found among those of their length, of which there are few; that is all that a
//!    write pays.
//! 2. Patterns are tried one after the other, segment by segment. They stand in an order in which a literal segment
//!    comes before a placeholder, so the first that fits is the one whose leftmost segments are literal: `/a/b/{x}`
//!    before `/a/{y}/c` before `/{z}/b/c`.

use std::cmp::Ordering;

use super::endpoint::Endpoint;

/// Placeholders that a pattern may have.
const PLACEHOLDERS_MAX: usize = 2;

/// What stood in the path for the placeholders of its pattern, percent-encoded as it came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Segments<'p> {
    found: [(&'static str, &'p str); PLACEHOLDERS_MAX],
    count: usize,
}

impl<'p> Segments<'p> {
    /// The segment for the placeholder `name`; empty where the pattern has none of that name.
    pub fn get(&self, name: &str) -> &'p str {
        self.found[..self.count].iter().find(|(known, _)| *known == name).map_or("", |(_, segment)| segment)
    }

    fn push(&mut self, name: &'static str, segment: &'p str) {
        self.found[self.count] = (name, segment);
        self.count += 1;
    }
}

/// The endpoints by path.
#[derive(Debug)]
pub struct Routes {
    endpoints: &'static [Endpoint],
    /// Indexes of endpoints without placeholders, by the length of their paths.
    literals: Vec<Vec<usize>>,
    /// Indexes of the others, those with earlier literal segments first.
    patterns: Vec<usize>,
}

impl Routes {
    /// Of a table that has each path once.
    pub fn new(endpoints: &'static [Endpoint]) -> Self {
        let (mut literals, mut patterns) = (Vec::new(), Vec::new());
        for (index, Endpoint { pattern, .. }) in endpoints.iter().enumerate() {
            if pattern.contains('{') {
                patterns.push(index);
                continue;
            }
            let length = pattern.len();
            literals.resize_with(literals.len().max(length + 1), Vec::new);
            literals[length].push(index);
        }
        for order in literals.iter_mut().chain([&mut patterns]) {
            order.sort_by(|a, b| by_literals(endpoints[*a].pattern, endpoints[*b].pattern));
            for pair in order.windows(2) {
                let (one, other) = (endpoints[pair[0]].pattern, endpoints[pair[1]].pattern);
                assert!(by_literals(one, other) != Ordering::Equal, "invariant: one endpoint a path: {one}, {other}");
            }
        }
        for index in &patterns {
            let pattern = endpoints[*index].pattern;
            let count = pattern.split('/').filter(|segment| placeholder(segment).is_some()).count();
            assert!(count <= PLACEHOLDERS_MAX, "invariant: at most {PLACEHOLDERS_MAX} placeholders: {pattern}");
        }
        Self { endpoints, literals, patterns }
    }

    /// The index of the endpoint of `path`, and what stands for its placeholders.
    pub fn find<'p>(&self, path: &'p str) -> Option<(usize, Segments<'p>)> {
        let pattern = |index: &usize| self.endpoints[*index].pattern;
        let of_length = self.literals.get(path.len()).map_or(&[][..], Vec::as_slice);
        if let Some(index) = of_length.iter().find(|index| pattern(index) == path) {
            return Some((*index, Segments::default()));
        }
        self.patterns.iter().find_map(|index| Some((*index, fit(pattern(index), path)?)))
    }
}

/// The name of a segment that is a placeholder.
fn placeholder(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// Literal segments by their text and before placeholders, which are all the same.
fn by_literals(a: &str, b: &str) -> Ordering {
    fn key(segment: &str) -> (bool, &str) {
        match placeholder(segment) {
            Some(_) => (true, ""),
            None => (false, segment),
        }
    }
    a.split('/').map(key).cmp(b.split('/').map(key))
}

/// What stands for the placeholders when `path` is of `pattern`.
fn fit<'p>(pattern: &'static str, path: &'p str) -> Option<Segments<'p>> {
    let mut segments = Segments::default();
    let (mut wanted, mut found) = (pattern.split('/'), path.split('/'));
    loop {
        match (wanted.next(), found.next()) {
            (None, None) => return Some(segments),
            (Some(wanted), Some(found)) => match placeholder(wanted) {
                Some(name) if !found.is_empty() => segments.push(name, found),
                None if wanted == found => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tidewire_protocol::http::Method;

    use super::*;
    use crate::api::endpoint::{BodyLimit, DatabaseParameter, Family, Handler, Privilege};
    use crate::api::table::ENDPOINTS;

    const fn endpoint(pattern: &'static str) -> Endpoint {
        Endpoint {
            pattern,
            methods: &[Method::Get],
            family: Family::Operations,
            privilege: Privilege::Ping,
            database: DatabaseParameter::None,
            body: BodyLimit::Unread,
            handler: Handler::Metrics,
        }
    }

    static SOME: [Endpoint; 9] = [
        endpoint("/{index}/_bulk"),
        endpoint("/_bulk"),
        endpoint("/es/_bulk"),
        endpoint("/es/{index}"),
        endpoint("/debug/pprof/{profile}"),
        endpoint("/debug/pprof"),
        endpoint("/debug/{page}/heap"),
        endpoint("/{any}/pprof/heap"),
        endpoint("/services/{service}/operations/{operation}"),
    ];

    #[test]
    fn literal_segments_win_from_the_left() {
        let routes = Routes::new(&SOME);
        let found = |path| routes.find(path).map(|(index, segments)| (SOME[index].pattern, segments));
        let pattern = |path| found(path).map(|(pattern, _)| pattern);
        let segment = |path, name: &str| found(path).map_or("none", |(_, segments)| segments.get(name));
        for literal in ["/_bulk", "/es/_bulk", "/debug/pprof"] {
            assert_eq!(found(literal), Some((literal, Segments::default())));
        }
        assert_eq!(pattern("/logs/_bulk"), Some("/{index}/_bulk"));
        assert_eq!(segment("/logs%20x/_bulk", "index"), "logs%20x");
        assert_eq!(segment("/es/logs", "index"), "logs");
        assert_eq!(pattern("/debug/pprof/heap"), Some("/debug/pprof/{profile}"));
        assert_eq!(pattern("/debug/x/heap"), Some("/debug/{page}/heap"));
        assert_eq!(pattern("/x/pprof/heap"), Some("/{any}/pprof/heap"));
        let two = "/services/a/operations/b";
        assert_eq!((segment(two, "service"), segment(two, "operation"), segment(two, "index")), ("a", "b", ""));
        for none in
            ["", "/", "*", "//_bulk", "/a/b/_bulk", "/_bulk/", "/es/", "/debug/pprof/", "/debug/pprof/a/b", "/es"]
        {
            assert_eq!(found(none), None, "{none}");
        }
    }

    #[test]
    fn every_endpoint_is_found_by_its_own_pattern() {
        let routes = Routes::new(&ENDPOINTS);
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            assert_eq!(routes.find(endpoint.pattern).map(|(found, _)| found), Some(index), "{}", endpoint.pattern);
            // A slash more is another path, of which few are an endpoint's.
            let slashed = format!("{}/", endpoint.pattern);
            let expected = ENDPOINTS.iter().position(|other| other.pattern == slashed);
            assert_eq!(routes.find(&slashed).map(|(found, _)| found), expected, "{slashed}");
        }
    }

    #[test]
    #[should_panic(expected = "one endpoint a path: /{a}/b, /{c}/b")]
    fn two_patterns_of_the_same_paths_are_a_mistake() {
        static TWICE: [Endpoint; 2] = [endpoint("/{a}/b"), endpoint("/{c}/b")];
        Routes::new(&TWICE);
    }

    #[test]
    #[should_panic(expected = "one endpoint a path: /a, /a")]
    fn two_endpoints_of_one_path_are_a_mistake() {
        static TWICE: [Endpoint; 3] = [endpoint("/a"), endpoint("/b"), endpoint("/a")];
        Routes::new(&TWICE);
    }
}
