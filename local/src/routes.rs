//! Finds the route of an API that takes a request.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use crate::template::{Route, Template};

/// The routes of an API.
pub struct Router {
    stage: String,
    routes: Vec<(Route, String)>,
}

/// The route that takes a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Match<'a> {
    /// The name of the function: `users-update`.
    pub function: &'a str,
    /// For example `PUT /v1/users/{id}`.
    pub route_key: String,
    pub stage: &'a str,
    /// The path that the event has: decoded, and below the stage unless the stage is `$default`.
    pub path: String,
    /// The variables of the route's path, decoded.
    pub parameters: BTreeMap<String, String>,
}

impl Router {
    pub fn new(template: &Template) -> Self {
        let routes = template.functions.iter().flat_map(|function| {
            let routes = function.routes.iter();
            routes.map(|route| (route.clone(), function.name.clone()))
        });
        Self { stage: template.stage.clone(), routes: routes.collect() }
    }

    /// Finds the most specific route for a method and a path. The path is still encoded, and may or may not begin with the
    /// stage. From left to right, text comes before a variable.
    pub fn find(&self, method: &str, path: &str) -> Option<Match<'_>> {
        let named_stage = Some(self.stage.as_str()).filter(|stage| *stage != "$default");
        let path = named_stage
            .and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path);
        let path = if path.is_empty() { "/" } else { path };
        let segments: Vec<_> = path.split('/').collect();
        let fitting = self.routes.iter().filter(|(route, _)| route.method == method).filter_map(|(route, function)| {
            let (specificity, parameters) = match_path(&route.path, &segments)?;
            Some((specificity, route, function, parameters))
        });
        let (_, route, function, parameters) = fitting.max_by(|(a, ..), (b, ..)| a.cmp(b))?;
        // API Gateway gives a function the decoded path. It cuts the path at a `?` that was encoded.
        let decoded = decode(path);
        let decoded = decoded.split('?').next().unwrap_or_default();
        Some(Match {
            function,
            route_key: format!("{} {}", route.method, route.path),
            stage: &self.stage,
            path: named_stage.map_or_else(|| decoded.into(), |stage| format!("/{stage}{decoded}")),
            parameters,
        })
    }
}

/// The kind of a segment of a route. The later kind is the more specific one.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Variable,
    Text,
}

fn match_path(route: &str, segments: &[&str]) -> Option<(Vec<Segment>, BTreeMap<String, String>)> {
    let patterns: Vec<_> = route.split('/').collect();
    let (mut specificity, mut parameters) = (Vec::new(), BTreeMap::new());
    for (pattern, segment) in patterns.iter().zip(segments) {
        match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                parameters.insert(name.into(), decode(segment));
                specificity.push(Segment::Variable);
            }
            None if decode(segment) == *pattern => specificity.push(Segment::Text),
            _ => return None,
        }
    }
    (patterns.len() == segments.len()).then_some((specificity, parameters))
}

/// Decodes percent-encoded text. Bytes that are not UTF-8 become U+FFFD.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Router {
        /// Makes the router of a stage, with routes such as `GET /pets/{id}`.
        pub(crate) fn of(stage: &str, routes: &[&str]) -> Self {
            let route = |text: &&str| {
                let (method, path) = text.split_once(' ').unwrap();
                (Route { operation: text.to_string(), method: method.into(), path: path.into() }, text.to_string())
            };
            Self { stage: stage.into(), routes: routes.iter().map(route).collect() }
        }
    }

    #[test]
    fn the_most_specific_route_takes_the_request() {
        let router =
            Router::of("$default", &["GET /{kind}/dog", "GET /pets/{id}", "GET /pets/dog", "PUT /pets/{id}", "GET /"]);
        for (method, path, expected) in [
            ("GET", "/pets/dog", "GET /pets/dog"),
            ("GET", "/pets/cat", "GET /pets/{id}"),
            ("PUT", "/pets/dog", "PUT /pets/{id}"),
            ("GET", "/toys/dog", "GET /{kind}/dog"),
            ("GET", "/", "GET /"),
        ] {
            assert_eq!(router.find(method, path).unwrap().route_key, expected, "{method} {path}");
        }
    }

    #[test]
    fn no_route_no_match() {
        let router = Router::of("main", &["GET /a/{id}"]);
        for (method, path) in [("PUT", "/a/1"), ("GET", "/a"), ("GET", "/a/"), ("GET", "/a/1/"), ("GET", "/mainly/a/1")]
        {
            assert_eq!(router.find(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn the_stage_is_in_the_path_whether_the_client_sent_it_or_not() {
        let router = Router::of("main", &["GET /a/{id}", "GET /"]);
        for path in ["/a/x%2Fy%20z", "/main/a/x%2Fy%20z"] {
            let route = router.find("GET", path).unwrap();
            assert_eq!(route.path, "/main/a/x/y z");
            assert_eq!(route.parameters["id"], "x/y z");
        }
        assert_eq!(router.find("GET", "/main").unwrap().path, "/main/");
        assert_eq!(router.find("GET", "/main/a/b%3Fc").unwrap().path, "/main/a/b");
    }
}
