//! Changing ladders: what is answered, and what is left of it after a restart.

use super::*;

const EVENTS: &str = r#"{ "name": "events", "broadcasts": ["event/*"], "idle_timeout": "30s",
    "renditions": ["480p", { "name": "540p", "width": 960, "height": 540, "video_bitrate": "1800k", "audio": "opus" }] }"#;

#[tokio::test]
async fn the_default_ladder_is_listed_with_every_key() {
    let site = Site::local();
    let answer = site.get("/api/v1/ladders").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), "no-store");
    let list = answer.json();
    assert_eq!(list["overlay"], Value::Null, "without a file there is nothing beside it");
    let ladder = &list["ladders"][0];
    assert_eq!((&ladder["name"], &ladder["source"]), (&"ladder-1".into(), &"config".into()), "{ladder:#}");
    assert_eq!(ladder["broadcasts"], serde_json::json!(["**"]));
    let steps = serde_json::json!(["skip-non-reference", "halve-frame-rate", "drop-rung"]);
    assert_eq!(ladder["on_overload"], steps);
    let expected = serde_json::json!({
        "name": "720p", "width": 1280, "height": 720, "video_bitrate": "2500k", "audio": "source", "audio_bitrate": "128k",
        "codec": "h264", "encoder": "auto", "threads": 1, "speed": "standard", "priority": 0, "source": "config", "transcoders": [],
    });
    assert_eq!(ladder["renditions"][0], expected);
    assert_eq!(site.ladders().await, ["ladder-1: 720p 480p 240p"]);
}

#[tokio::test]
async fn a_ladder_is_added_shown_and_removed() {
    let site = Site::local();
    let answer = site.post("/api/v1/ladders", EVENTS).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("location"), "/api/v1/ladders/events");
    let changed = answer.json();
    assert_eq!(changed["kept"], false, "there is no file to keep it in");
    assert_eq!((&changed["ladder"]["source"], &changed["ladder"]["idle_timeout"]), (&"api".into(), &"30s".into()));
    assert_eq!(changed["ladder"]["renditions"][1]["audio"], "opus");
    let shown = site.get("/api/v1/ladders/events").await.json();
    assert_eq!(shown, changed["ladder"]);
    let note = shown["notes"][0].as_str().unwrap();
    assert!(note.contains("`ladder-1` stands before it"), "{note}");
    assert_eq!(site.ladders().await, ["ladder-1: 720p 480p 240p", "events: 480p 540p"]);
    assert_eq!(site.runner.ladders().len(), 2);

    let again = site.post("/api/v1/ladders", EVENTS).await;
    assert_eq!((again.status.as_u16(), again.detail()), (409, "there is a ladder `events` already".into()));
    assert_eq!(site.delete("/api/v1/ladders/ladder-1").await.status, 200);
    assert_eq!(site.get("/api/v1/ladders/events").await.json()["notes"], serde_json::json!([]));
    let removed = site.delete("/api/v1/ladders/events").await;
    assert_eq!((removed.status.as_u16(), name(&removed.json()["ladder"])), (200, "events".into()));
    let gone = site.delete("/api/v1/ladders/events").await;
    assert_eq!((gone.status.as_u16(), gone.detail()), (404, "there is no ladder `events`".into()));
    assert_eq!(site.get("/api/v1/ladders/events").await.status, 404);
    assert!(site.ladders().await.is_empty() && site.runner.ladders().is_empty());
}

#[tokio::test]
async fn a_rendition_is_added_and_removed() {
    let site = Site::local();
    let path = "/api/v1/ladders/ladder-1/renditions";
    let answer = site.post(path, r#"{"name":"540p","width":960,"height":540,"quality":"high"}"#).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let ladder = answer.json()["ladder"].clone();
    assert_eq!(ladder["source"], "config");
    let added = &ladder["renditions"][3];
    assert_eq!((&added["source"], &added["quality"]), (&"api".into(), &"high".into()), "{added:#}");
    assert!(added["video_bitrate"].is_null());
    let again = site.post(path, r#""480p""#).await;
    let duplicate = "the ladder `ladder-1` has a rendition `480p` already";
    assert_eq!((again.status.as_u16(), again.detail()), (409, duplicate.into()));
    assert_eq!(site.delete(&format!("{path}/480p")).await.status, 200);
    assert_eq!(site.delete(&format!("{path}/480p")).await.status, 404);
    assert_eq!(site.ladders().await, ["ladder-1: 720p 240p 540p"]);
    assert_eq!(site.post(path, r#""480p""#).await.status, 201);
    assert_eq!(site.post("/api/v1/ladders/none/renditions", r#""480p""#).await.status, 404);
    assert_eq!(site.ladders().await, ["ladder-1: 720p 240p 540p 480p"]);
    let renditions: Vec<_> = site.runner.ladders()[0].renditions.iter().map(|r| r.name.to_string()).collect();
    assert_eq!(renditions, ["720p", "240p", "540p", "480p"], "the runner has followed");
}

#[tokio::test]
async fn what_is_wrong_is_answered_field_by_field() {
    let site = Site::local();
    let path = "/api/v1/ladders/ladder-1/renditions";
    for (body, field, sentence) in [
        (r#"{"name":"480p","width":853}"#, "width", "an even number of pixels, 16 to 8192"),
        (r#"{"name":"480p","width":1,"height":480}"#, "width", "16 to 8192"),
        (r#"{"name":"480p","height":16384}"#, "height", "16 to 8192"),
        (r#"{"name":"480p","video_bitrate":0}"#, "video_bitrate", "expected 16k to 200M"),
        (r#"{"name":"480p","audio":"aac"}"#, "audio", "\"source\" or \"opus\""),
        (r#"{"name":"480p","sped":"draft"}"#, "sped", "unknown key `sped` in the rendition"),
        (r#"{"width":640}"#, "name", "the rendition has no `name`"),
    ] {
        let answer = site.post(path, body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
        assert!(answer.detail().contains(sentence), "{body}: {}", answer.detail());
        assert_eq!(answer.json()["problems"][0]["field"], field, "{body}: {answer:?}");
    }
    let two = site.post("/api/v1/ladders", r#"{"name":"a","renditions":["1080p"],"idle_timeout":"1s"}"#).await;
    assert_eq!(two.json()["problems"].as_array().unwrap().len(), 2, "{two:?}");
    let broken = site.post("/api/v1/ladders", "{").await;
    assert!(broken.status == 400 && broken.detail().contains("not JSON"), "{broken:?}");
    for content_type in
        [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]]
    {
        let answer = site.send("POST", "/api/v1/ladders", content_type, EVENTS).await;
        assert!(answer.status == 415 && answer.detail().contains("application/json"), "{answer:?}");
    }
    let long = format!("{{\"name\":\"{}\"}}", "a".repeat(64 << 10));
    let answer = site.post("/api/v1/ladders", &long).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, "application/problem+json"));
    assert_eq!(site.ladders().await, ["ladder-1: 720p 480p 240p"], "nothing has changed");
}

#[tokio::test]
async fn there_is_an_end_to_how_much_is_taken() {
    let site = Site::local();
    let path = "/api/v1/ladders/ladder-1/renditions";
    for n in 3..16 {
        let body = format!(r#"{{"name":"r{n}","width":160,"height":90,"quality":"low"}}"#);
        assert_eq!(site.post(path, &body).await.status, 201);
    }
    let more = site.post(path, r#"{"name":"more","width":160,"height":90,"quality":"low"}"#).await;
    assert_eq!(
        (more.status.as_u16(), more.detail()),
        (400, "the ladder `ladder-1` has 16 renditions, and may not have more".into())
    );
    for n in 1..100 {
        assert_eq!(site.post("/api/v1/ladders", &format!(r#"{{"name":"l{n}","renditions":[]}}"#)).await.status, 201);
    }
    let more = site.post("/api/v1/ladders", r#"{"name":"more","renditions":[]}"#).await;
    assert_eq!((more.status.as_u16(), more.detail()), (400, "there are 100 ladders, and may not be more".into()));
}

#[tokio::test]
async fn changes_outlive_the_server_and_the_configuration_is_not_touched() {
    let text =
        "[[ladder]]\nname = \"main\"\nrenditions = [\"480p\", \"240p\"]\n\n[[ladder]]\nrenditions = [\"720p\"]\n";
    let (folder, file) = written(text);
    let site = Site::of_file(Some(&file), Reach::Loopback);
    assert_eq!(site.ladders().await, ["main: 480p 240p", "ladder-2: 720p"]);
    let overlay = folder.path().join("millrace.overlay.toml");
    assert_eq!(site.get("/api/v1/ladders").await.json()["overlay"], overlay.to_str().unwrap());
    let added = site.post("/api/v1/ladders", EVENTS).await;
    assert_eq!((added.status.as_u16(), &added.json()["kept"]), (201, &true.into()));
    let body = r#"{"name":"360p","width":640,"height":360,"video_bitrate":700000,"priority":3,"speed":"draft"}"#;
    assert_eq!(site.post("/api/v1/ladders/main/renditions", body).await.status, 201);
    assert_eq!(site.delete("/api/v1/ladders/main/renditions/480p").await.status, 200);
    assert_eq!(site.delete("/api/v1/ladders/ladder-2").await.status, 200);
    let before = site.get("/api/v1/ladders").await.json();
    assert_eq!(site.ladders().await, ["main: 240p 360p", "events: 480p 540p"]);
    drop(site);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "nothing is left of the writing");

    let site = Site::of_file(Some(&file), Reach::Loopback);
    assert_eq!(site.get("/api/v1/ladders").await.json(), before);
    assert_eq!(site.runner.ladders().iter().map(|l| l.name.to_string()).collect::<Vec<_>>(), ["main", "events"]);
    // What is taken back leaves nothing.
    for path in ["events", "main/renditions/360p"] {
        assert_eq!(site.delete(&format!("/api/v1/ladders/{path}")).await.status, 200, "{path}");
    }
    drop(site);
    let site = Site::of_file(Some(&file), Reach::Loopback);
    assert_eq!(site.ladders().await, ["main: 240p"]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_done() {
    let (folder, file) = written("[api]\noverlay = \"none/overlay.toml\"\n");
    let site = Site::of_file(Some(&file), Reach::Loopback);
    let answer = site.post("/api/v1/ladders", EVENTS).await;
    assert_eq!(answer.status, 500);
    assert!(answer.detail().contains("none/overlay.toml cannot be written"), "{}", answer.detail());
    assert_eq!(site.ladders().await, ["ladder-1: 720p 480p 240p"]);
    assert_eq!(site.runner.ladders().len(), 1);
    std::fs::create_dir(folder.path().join("none")).unwrap();
    assert_eq!(site.post("/api/v1/ladders", EVENTS).await.status, 201, "it can be kept now");
}

#[tokio::test]
async fn viewers_need_no_token_and_operators_do() {
    let (_folder, file) = written("[api]\ntoken = \"correct-horse\"\n");
    let site = Site::of_file(Some(&file), Reach::Network);
    let bearer = [("authorization", "Bearer correct-horse"), ("content-type", "application/json")];
    for path in ["/api/v1/broadcasts", "/api/v1/openapi.json"] {
        assert_eq!(site.get(path).await.status, 200, "{path}");
    }
    for path in ["/api/v1/ladders", "/api/v1/ladders/ladder-1", "/api/v1/transcoders"] {
        let answer = site.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, "Bearer"), "{path}");
        assert!(answer.detail().contains("Authorization: Bearer"), "{}", answer.detail());
        assert_eq!(site.send("GET", path, &bearer, "").await.status, 200, "{path}");
    }
    assert_eq!(site.post("/api/v1/ladders", EVENTS).await.status, 401);
    assert_eq!(site.delete("/api/v1/ladders/ladder-1").await.status, 401);
    assert_eq!(site.send("POST", "/api/v1/ladders", &bearer, EVENTS).await.status, 201);

    let open = Site::of_file(None, Reach::Network);
    assert_eq!(open.get("/api/v1/broadcasts").await.status, 200);
    for (method, path) in [
        ("GET", "/api/v1/ladders"),
        ("GET", "/api/v1/transcoders"),
        ("GET", "/api/v1/alarms"),
        ("POST", "/api/v1/ladders"),
        ("DELETE", "/api/v1/ladders/ladder-1"),
    ] {
        let answer = open.send(method, path, &[("content-type", "application/json")], EVENTS).await;
        assert!(answer.status == 403 && answer.detail().contains("MILLRACE_API_TOKEN"), "{method} {path}: {answer:?}");
    }
    assert_eq!(open.runner.ladders().len(), 1);
}

#[tokio::test]
async fn a_page_of_another_origin_is_kept_out() {
    let site = Site::local();
    let foreign = [("origin", "https://evil.example"), ("content-type", "application/json")];
    assert_eq!(site.send("POST", "/api/v1/ladders", &foreign, EVENTS).await.status, 403);
    assert_eq!(site.send("DELETE", "/api/v1/ladders/ladder-1", &foreign, "").await.status, 403);
    let asks = [("origin", "https://evil.example"), ("access-control-request-method", "DELETE")];
    let answer = site.send("OPTIONS", "/api/v1/ladders/ladder-1", &asks, "").await;
    assert!(!answer.status.is_success() && answer.header("access-control-allow-origin").is_empty(), "{answer:?}");
    let read = site.send("GET", "/api/v1/ladders", &foreign, "").await;
    assert_eq!((read.status.as_u16(), read.header("access-control-allow-origin")), (200, ""), "no page may read it");
    let own = [("origin", "http://127.0.0.1:8080"), ("content-type", "application/json")];
    assert_eq!(site.send("POST", "/api/v1/ladders", &own, EVENTS).await.status, 201);
}
