//! The application, as a connection asks it: every request is noted while it is in progress.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http;
use axum::routing::future::RouteFuture;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service as _;

use super::connection::{Connection, Request};
use super::response::{Piece, Response};

/// The application for the requests of one connection.
pub(super) struct App {
    router: Router,
    connection: Arc<Connection>,
}

impl App {
    pub(super) const fn new(router: Router, connection: Arc<Connection>) -> Self {
        Self { router, connection }
    }
}

impl hyper::service::Service<http::Request<Incoming>> for App {
    type Response = http::Response<Answer>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, mut request: http::Request<Incoming>) -> Answering {
        request.extensions_mut().insert(ConnectInfo::<SocketAddr>(self.connection.peer()));
        let progress = Request::begin(&self.connection);
        // A router is always ready, and cheap to clone.
        Answering { answering: self.router.clone().call(request), request: Some(progress) }
    }
}

pin_project! {
    /// The application at work on an answer.
    pub(super) struct Answering {
        #[pin]
        answering: RouteFuture<Infallible>,
        request: Option<Request>,
    }
}

impl Future for Answering {
    type Output = Result<http::Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.answering.poll(cx))?;
        let request = this.request.take();
        let answer = answer.map(|body| Answer { body, response: Response::current(), _request: request });
        Poll::Ready(Ok(answer))
    }
}

pin_project! {
    /// The body of an answer.
    pub(super) struct Answer {
        #[pin]
        body: Body,
        response: Option<Arc<Response>>,
        // In progress until the body is dropped.
        _request: Option<Request>,
    }
}

impl http_body::Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        let response = this.response.as_ref();
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| Piece::new(bytes, response)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
