//! The binary carries the player's pages and the bundled plugins: it is built again when they change.

fn main() {
    for folder in ["../../web/dist", "../../plugins/dist"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
