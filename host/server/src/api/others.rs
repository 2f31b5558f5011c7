//! The description of what other modules answer: ingest, HLS, and the server's own small routes.
//!
//! Their handlers are not written for it, so that their operations are put together here. Tests drive them and compare.

use millrace_ingest::http::MEDIA_TYPES;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, Paths};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{Content, HeaderBuilder, Object, Required, ResponseBuilder, SecurityRequirement};

/// What the scheme of publishers' credentials is called.
pub(super) const PUBLISH: &str = "publish";

const PLAIN: &str = "text/plain";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// A status and what it means.
type Status = (u16, &'static str);

const SEND: [Status; 10] = [
    (200, "Taken; also an empty request, which only asks, and a segment that is sent again"),
    (400, "Broken media or a broken manifest; times that go back while other tracks are sent"),
    (
        403,
        "No credential or a wrong one; without one, not from this machine, or from a page of another origin; a path that names no broadcast; an access plugin denies it, also while the request is open",
    ),
    (408, "Nothing came for `idle_timeout` of [ingest]"),
    (409, "The name has another publisher, or is a rendition's"),
    (412, "No header before the media, or one that cannot be used: send the header again"),
    (
        413,
        "A box is longer than `max_box`, a fragment has more samples than `max_samples`, or a manifest more than 1 MiB",
    ),
    (415, "Not one of the media types, not MP4, or no track in a codec that is taken"),
    (431, LONG_HEAD),
    (503, "As many broadcasts or tracks as there may be; or the server stops"),
];

const END: [Status; 6] = [
    (200, "Ended; also for a segment, of which nothing is done"),
    (403, "As for sending"),
    (404, "Nobody publishes it"),
    (409, "It is published over another protocol: its publisher has to end it"),
    (431, LONG_HEAD),
    (503, "The server stops"),
];

/// What the status 431 means.
const LONG_HEAD: &str = "There is an access plugin, and the query and the headers are longer than 8 KiB together";

const FILE: [Status; 5] = [
    (200, "All of it"),
    (206, "The range of it that was asked for"),
    (
        403,
        "There is an access plugin, and the path has no token, or the token of a viewer who may not play, or no longer",
    ),
    (404, "There is no such file, or no longer"),
    (416, "The range lies outside"),
];

/// Every route that other modules answer.
pub(super) fn paths() -> Paths {
    let mut paths = Paths::new();
    for (method, name) in [(HttpMethod::Post, "Publishes"), (HttpMethod::Put, "Publishes, as POST does")] {
        let send = ingest(
            name,
            "A stream in one endless request, a segment, or a manifest. docs/ingest.md says how a path names them.",
            &SEND,
        );
        paths.add_path_operation("/ingest/{path}", vec![method], send.request_body(Some(media())));
    }
    let end = "Of its path or of a manifest, while it is being published over HTTP or waits for its publisher.";
    paths.add_path_operation("/ingest/{path}", vec![HttpMethod::Delete], ingest("Ends a broadcast", end, &END));

    let hls = |summary, success: &[&str], statuses: &[Status]| answered(operation("hls", summary), success, statuses);
    let master = [
        (
            200,
            "The playlist. Where there is an access plugin, it leads to the others by a token of the viewer's own in their paths",
        ),
        (403, "An access plugin denies it"),
        (404, "There is no such broadcast or rendition"),
        (431, LONG_HEAD),
        (
            503,
            "There is nothing to be played yet; or as many viewers are watching as may, where there is an access plugin",
        ),
    ];
    let path = "/hls/{broadcast}/master.m3u8";
    let about = "The multivariant playlist of a broadcast, or of one of its renditions";
    paths.add_path_operation(path, vec![HttpMethod::Get], hls(about, &[PLAYLIST], &master).parameter(broadcast()));

    let list = [
        (200, "The playlist"),
        (307, "There is an access plugin, and the viewer has no token yet: its way to the playlist"),
        (400, "A delivery directive is wrong, or too far ahead"),
        (403, "An access plugin denies it, or no longer allows it"),
        (404, "There is no such track"),
        (410, "The track has been removed; the broadcast goes on without it"),
        (431, LONG_HEAD),
        (503, "Nothing has come for three target durations; or as many requests wait as may"),
    ];
    let list = hls("The media playlist of a track, with parts (rfc8216bis)", &[PLAYLIST], &list);
    let list = list.parameter(broadcast()).parameter(name("track", "Its name, as `/api/v1/broadcasts` lists it"));
    let list = list
        .parameter(query("_HLS_msn", Type::Integer, "Wait until this media sequence number is there"))
        .parameter(query("_HLS_part", Type::Integer, "Wait until this part of it is there"))
        .parameter(query("_HLS_skip", Type::String, "`YES` or `v2`: leave out what the client has"));
    paths.add_path_operation("/hls/{broadcast}/{track}/playlist.m3u8", vec![HttpMethod::Get], list);

    let waiting = [FILE[0], FILE[1], FILE[2], FILE[3], FILE[4], (503, "It has not come for three target durations")];
    for (path, about, statuses, numbers) in [
        ("init-{number}.mp4", "A CMAF header", &FILE[..], &["number"][..]),
        ("{segment}.m4s", "A segment", &waiting, &["segment"]),
        ("{segment}.{part}.m4s", "A part of a segment", &waiting, &["segment", "part"]),
    ] {
        let file = hls(about, &["video/mp4", "audio/mp4"], statuses).parameter(broadcast());
        let file = file.parameter(name("track", "Its name")).parameter(name("directory", "As the playlist has it"));
        let file = numbers.iter().fold(file, |file, number| file.parameter(number_in_path(number)));
        paths.add_path_operation(
            format!("/hls/{{broadcast}}/{{track}}/{{directory}}/{path}"),
            vec![HttpMethod::Get],
            file,
        );
    }

    for (path, about, content_type, statuses) in [
        ("/healthz", "Whether the server is well", PLAIN, &[(200, "It is")][..]),
        ("/metrics", "Counters, in the text format of Prometheus", PLAIN, &[(200, "All of them")]),
        (
            "/certificate.sha256",
            "The hash of the certificate of Media over QUIC, where the server has made it itself",
            PLAIN,
            &[
                (200, "SHA-256, in hexadecimal"),
                (404, "The certificate comes from files, or Media over QUIC is not spoken"),
            ],
        ),
        ("/api/v1/openapi.json", "This description", "application/json", &[(200, "OpenAPI 3.1")]),
    ] {
        let operation = answered(operation("server", about), &[content_type], statuses);
        paths.add_path_operation(path, vec![HttpMethod::Get], operation);
    }
    paths
}

fn operation(tag: &str, summary: &str) -> OperationBuilder {
    OperationBuilder::new().tag(tag).summary(Some(summary))
}

/// An operation of ingest, whose answers are sentences.
fn ingest(summary: &str, description: &str, statuses: &[Status]) -> OperationBuilder {
    let path = "The broadcast's name and, behind it, the stream, segment or manifest: slashes stand as they are";
    let operation = operation("ingest", summary)
        .description(Some(description))
        .parameter(name("path", path))
        .parameter(query("token", Type::String, "`publish_token` of [ingest], in place of the header"))
        .parameter(query("jwt", Type::String, "A JSON Web Token for `jwt_key` of [ingest], in place of the header"))
        .security(SecurityRequirement::default())
        .security(SecurityRequirement::new::<_, [&str; 0], &str>(PUBLISH, []));
    answered(operation, &[], statuses)
}

/// The operation with its answers: what succeeds has one of these types, or no body, and what does not is a sentence.
fn answered(operation: OperationBuilder, success: &[&str], statuses: &[Status]) -> OperationBuilder {
    statuses.iter().fold(operation, |operation, (status, meaning)| {
        let content_types = match status {
            200..300 => success,
            // The headers `Location` and `Content-Range` say it all.
            307 | 416 => &[],
            _ => &[PLAIN],
        };
        let response = ResponseBuilder::new().description(*meaning);
        let response = content_types.iter().fold(response, |response, one| response.content(*one, anything()));
        let waits = "Seconds after which it may be tried again, where that is known";
        let response = match status {
            409 | 503 => response.header("Retry-After", HeaderBuilder::new().description(Some(waits)).build()),
            _ => response,
        };
        operation.response(status.to_string(), response.build())
    })
}

fn media() -> RequestBody {
    let body = RequestBodyBuilder::new()
        .description(Some(
            "Fragmented MP4 (CMAF), a DASH manifest or an HLS playlist; the request may also name no type",
        ))
        .required(Some(Required::False));
    MEDIA_TYPES.iter().fold(body, |body, media_type| body.content(*media_type, anything())).build()
}

/// Bytes or text, of which the media type says all.
fn anything() -> Content {
    Content::new(None::<Object>)
}

fn of(kind: Type) -> Object {
    ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build()
}

fn parameter(name: &str, place: ParameterIn, required: Required, kind: Type, description: &str) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(required);
    parameter.description(Some(description)).schema(Some(of(kind))).build()
}

fn broadcast() -> Parameter {
    name("broadcast", "Its name: slashes stand as they are")
}

fn name(name: &str, description: &str) -> Parameter {
    parameter(name, ParameterIn::Path, Required::True, Type::String, description)
}

fn number_in_path(name: &str) -> Parameter {
    parameter(name, ParameterIn::Path, Required::True, Type::Integer, "As the playlist has it")
}

fn query(name: &str, kind: Type, description: &str) -> Parameter {
    parameter(name, ParameterIn::Query, Required::False, kind, description)
}
