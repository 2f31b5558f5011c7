//! Requests.

use std::time::{Duration, Instant};

use crate::wait::PATIENCE;

/// Keeps connections open between requests, as players do.
#[derive(Clone, Debug)]
pub struct Client(ureq::Agent);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Such as 200.
    pub status: u16,
    /// All of it, as it was sent.
    pub body: Vec<u8>,
    /// How long it took.
    pub took: Duration,
    headers: ureq::http::HeaderMap,
}

impl Default for Client {
    fn default() -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
        Self(config.into())
    }
}

impl Client {
    /// Asks for something.
    pub fn get(&self, url: &str) -> Answer {
        self.get_with(url, &[])
    }

    /// Asks with headers.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        let begun = Instant::now();
        let mut request = self.0.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::new(url, begun, request.call())
    }

    /// The text that is there.
    ///
    /// # Panics
    /// Where the answer is not 200.
    pub fn text(&self, url: &str) -> String {
        let answer = self.get(url);
        assert_eq!(answer.status, 200, "{url}: {}", answer.text());
        answer.text()
    }

    /// Sends something.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn put(&self, url: &str, body: &[u8]) -> Answer {
        self.put_with(url, &[], body)
    }

    /// Sends something with headers.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn put_with(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let begun = Instant::now();
        let request = headers.iter().fold(self.0.put(url), |request, (name, value)| request.header(*name, *value));
        Answer::new(url, begun, request.send(body))
    }

    /// Sends JSON.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn post(&self, url: &str, body: &serde_json::Value) -> Answer {
        let begun = Instant::now();
        let request = self.0.post(url).header("content-type", "application/json");
        Answer::new(url, begun, request.send(body.to_string().as_bytes()))
    }

    /// Posts bytes, whatever they are.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn send(&self, url: &str, body: &[u8]) -> Answer {
        let begun = Instant::now();
        Answer::new(url, begun, self.0.post(url).send(body))
    }

    /// Removes something.
    ///
    /// # Panics
    /// Where there is no answer.
    pub fn delete(&self, url: &str) -> Answer {
        let begun = Instant::now();
        Answer::new(url, begun, self.0.delete(url).call())
    }
}

impl Answer {
    fn new(url: &str, begun: Instant, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Self {
        let mut answer = answer.unwrap_or_else(|error| panic!("{url}: {error}"));
        let body = answer.body_mut().with_config().limit(1 << 30).read_to_vec();
        let body = body.unwrap_or_else(|error| panic!("{url}: the body broke off: {error}"));
        Self { status: answer.status().as_u16(), body, took: begun.elapsed(), headers: answer.headers().clone() }
    }

    /// The body, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header, or nothing where it was not sent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}
