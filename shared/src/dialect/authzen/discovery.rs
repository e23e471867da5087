//! Discovery: where questions are answered.

use serde::Serialize;

/// Where questions are answered (OpenID AuthZEN, *Authorization API 1.0*, section 9).
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema), schemars(rename = "AuthzenConfiguration"))]
pub struct Configuration {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_action_endpoint: String,
}

impl Configuration {
    /// `url` is that of the API.
    pub fn new(url: &str) -> Self {
        let base = url.trim_end_matches('/');
        let at = |path: &str| format!("{base}/access/v1/{path}");
        Self {
            policy_decision_point: base.to_owned(),
            access_evaluation_endpoint: at("evaluation"),
            access_evaluations_endpoint: at("evaluations"),
            search_subject_endpoint: at("search/subject"),
            search_action_endpoint: at("search/action"),
        }
    }
}
