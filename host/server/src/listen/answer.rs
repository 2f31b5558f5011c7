//! The application, as a connection asks it: every request is noted while it is in progress.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http;
use axum::routing::future::RouteFuture;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tower::Service as _;

use super::connection::{Connection, Request};
use super::piece::Piece;
use super::response::Response;

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
        let answer = answer.map(|body| Answer::new(body, request));
        Poll::Ready(Ok(answer))
    }
}

pin_project! {
    /// The body of an answer. Slices that are there together go as one piece.
    pub(super) struct Answer {
        #[pin]
        body: Body,
        response: Option<Arc<Response>>,
        // What came after the slices of a piece: trailers, or an error.
        kept: Option<Result<Frame<Bytes>, axum::Error>>,
        is_over: bool,
        // In progress until the body is dropped.
        _request: Option<Request>,
    }
}

impl Answer {
    fn new(body: Body, request: Option<Request>) -> Self {
        Self { body, response: Response::current(), kept: None, is_over: false, _request: request }
    }
}

impl http_body::Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let mut this = self.project();
        let mut piece: Option<Piece> = None;
        while !*this.is_over && !piece.as_ref().is_some_and(Piece::is_full) {
            let next = match this.kept.take() {
                Some(kept) => Some(kept),
                None => match this.body.as_mut().poll_frame(cx) {
                    Poll::Ready(next) => next,
                    Poll::Pending if piece.is_some() => break,
                    Poll::Pending => return Poll::Pending,
                },
            };
            match next {
                None => *this.is_over = true,
                Some(Ok(frame)) if frame.is_data() => {
                    let slice = frame.into_data().unwrap_or_default();
                    match &mut piece {
                        _ if slice.is_empty() => {}
                        None => piece = Some(Piece::new(slice, this.response.clone())),
                        Some(piece) => piece.push(slice),
                    }
                    *this.is_over = this.body.is_end_stream();
                }
                other if piece.is_some() => {
                    *this.kept = other;
                    break;
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
            }
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_none() && (self.is_over || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_over { SizeHint::with_exact(0) } else { self.body.size_hint() }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::HeaderMap;
    use bytes::Buf;
    use futures::{StreamExt, stream};
    use http_body::Body as _;
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn answer(frames: Vec<Result<Frame<Bytes>, &'static str>>) -> Answer {
        Answer::new(Body::new(StreamBody::new(stream::iter(frames))), None)
    }

    fn slice(bytes: &'static [u8]) -> Result<Frame<Bytes>, &'static str> {
        Ok(Frame::data(Bytes::from_static(bytes)))
    }

    #[tokio::test]
    async fn slices_that_are_there_go_together() {
        let mut answer = answer(vec![slice(b"head"), slice(b""), slice(b"payload")]);
        let mut piece = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece.copy_to_bytes(piece.remaining()), &b"headpayload"[..]);
        assert!(answer.is_end_stream(), "no frame follows that only says so");
        assert!(answer.frame().await.is_none());
    }

    #[tokio::test]
    async fn what_is_there_does_not_wait_for_what_is_not() {
        let waiting = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"now"))]).chain(stream::pending());
        let mut answer = Answer::new(Body::from_stream(waiting), None);
        let piece = answer.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece.chunk(), b"now");
        assert!(!answer.is_end_stream());
    }

    #[tokio::test]
    async fn errors_and_trailers_come_after_their_slices() {
        let mut broken = answer(vec![slice(b"a"), Err("broken"), slice(b"b")]);
        assert_eq!(broken.frame().await.unwrap().unwrap().into_data().unwrap().chunk(), b"a");
        assert!(!broken.is_end_stream());
        assert_eq!(broken.frame().await.unwrap().unwrap_err().to_string(), "broken");
        let mut trailers = HeaderMap::new();
        trailers.insert("a", "b".parse().unwrap());
        let mut trailed = answer(vec![slice(b"a"), slice(b"b"), Ok(Frame::trailers(trailers.clone()))]);
        assert_eq!(trailed.frame().await.unwrap().unwrap().into_data().unwrap().remaining(), 2);
        assert_eq!(trailed.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
        assert!(trailed.frame().await.is_none());
    }
}
