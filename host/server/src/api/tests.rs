//! The API as its clients see it.

mod driven;
mod ladders;
mod listing;
mod live;
mod moq;
mod openapi;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use millrace_deliver::hls::Hls;
use millrace_ingest::http::Ingest;
use millrace_media::clock::Clock;
use millrace_media::{Access, Bus};
use millrace_moq::Certificates;
use millrace_transcode::Runner;
use millrace_transcode::native::NativeLadder;
use serde_json::Value;
use tower::ServiceExt;

use super::{Operators, Reach, Shared};
use crate::access::{Local, Publishers};
use crate::config::{self, Overlay};
use crate::ladders::Ladders;
use crate::moq::{RelayState, Status};
use crate::settings;

/// A server without listeners.
struct Site {
    bus: Bus,
    runner: Arc<Runner>,
    ingest: Arc<Ingest>,
    router: Router,
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What is wrong, of a problem document.
    fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "{problem}");
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

impl Site {
    /// A server that is started with this file, and may find an overlay beside it.
    fn of_file(file: Option<&Path>, reach: Reach) -> Self {
        let config = config::load(file, std::iter::empty()).unwrap_or_else(|errors| panic!("{errors}"));
        let (overlay, notes) = Overlay::of(&config).unwrap_or_else(|errors| panic!("{errors}"));
        assert!(notes.is_empty(), "{notes:?}");
        let bus = Bus::new(settings::bus(&config), Arc::new(Clock::system()));
        let ladders = overlay.apply(&config.ladders).iter().map(settings::ladder).collect();
        let runner = Arc::new(Runner::start(&bus, vec![Arc::new(NativeLadder)], ladders));
        let hls = Hls::new(bus.clone(), settings::hls(&config));
        let ladders = Arc::new(Ladders::new(&config, overlay, runner.clone()));
        let certificates = Certificates::development(vec!["localhost".into()], SystemTime::now()).unwrap();
        let relays = vec![Arc::new(RelayState::new("https://relay.example/live".into()))];
        let moq = Some(Arc::new(Status { ports: vec![9090, 8080], certificates, relays }));
        let shared = Shared {
            bus: bus.clone(),
            hls: hls.clone(),
            ladders,
            moq: moq.clone(),
            plugins: None,
            filters: None,
            loaded: Arc::default(),
            access: Access::default(),
        };
        let local = Arc::new(Local::new(&config));
        let publishers = Arc::new(Publishers::new(&config, local.clone()).unwrap());
        let ingest = Ingest::new(bus.clone(), settings::ingest(&config, publishers, Access::default()));
        let router = super::router(shared, Operators { token: config.api.token.clone(), reach, local })
            .merge(millrace_deliver::hls::router("/hls", hls))
            .nest("/ingest", millrace_ingest::http::router(ingest.clone()))
            .merge(crate::moq::router(moq));
        Self { bus, runner, ingest, router }
    }

    fn local() -> Self {
        Self::of_file(None, Reach::Loopback)
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_body(method, path, headers, Body::from(body.to_owned())).await
    }

    async fn send_body(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:8080");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    /// The ladders, each with its renditions, in short: `ladder-1: 720p 480p`.
    async fn ladders(&self) -> Vec<String> {
        let answer = self.get("/api/v1/ladders").await;
        let names = |list: &Value| list.as_array().unwrap().iter().map(name).collect::<Vec<_>>().join(" ");
        let ladders = answer.json()["ladders"].clone();
        let ladders = ladders.as_array().unwrap().iter();
        ladders.map(|ladder| format!("{}: {}", name(ladder), names(&ladder["renditions"]))).collect()
    }
}

fn name(value: &Value) -> String {
    value["name"].as_str().unwrap().to_owned()
}

/// A configuration in a folder of its own.
fn written(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millrace.toml");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}
