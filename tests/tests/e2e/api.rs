//! What docs/api.md tells operators to do.

use millrace_tests::{Server, root, run};

#[test]
fn ladders_change_as_the_page_says() {
    let page = std::fs::read_to_string(root().join("docs/api.md")).expect("there is a page on the API");
    let blocks = page.split("```sh\n").skip(1).filter_map(|block| block.split("```").next());
    let blocks: Vec<_> = blocks.filter(|block| block.contains("/ladders")).collect();
    assert!(blocks.len() >= 3, "{blocks:#?}");
    let server = Server::serve("");
    let ladders = |blocks: &[&str]| {
        for block in blocks {
            let script = block.replace("http://127.0.0.1:8080", &server.url("")).replace("curl ", "curl -sSf ");
            println!("{}", run("sh", ["-ec", &format!("TOKEN=any\n{script}")]));
        }
        let list = server.json("/api/v1/ladders");
        let names = |ladder: &serde_json::Value| {
            let renditions = ladder["renditions"].as_array().expect("a list");
            let renditions = renditions.iter().map(|rendition| rendition["name"].as_str().expect("a name"));
            [ladder["name"].as_str().expect("a name")].into_iter().chain(renditions).collect::<Vec<_>>().join(" ")
        };
        list["ladders"].as_array().expect("a list").iter().map(names).collect::<Vec<_>>()
    };
    let (first, rest) = blocks.split_first().expect("there are some");
    assert_eq!(ladders(&[first]), ["ladder-1 720p 480p 240p", "events 480p 240p"]);
    assert_eq!(ladders(rest), ["ladder-1 720p 480p 240p"]);
    let overlay = server.json("/api/v1/ladders")["overlay"].as_str().expect("there is a file").to_owned();
    assert!(overlay.ends_with("/millrace.overlay.toml"), "{overlay}");
    assert!(std::fs::read_to_string(&overlay).expect("it is written").contains("through the API"));
    server.stop();
}
