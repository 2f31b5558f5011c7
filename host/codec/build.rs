//! Compiles what stands between Rust and the C header of SVT-AV1, where the feature asks for it.

fn main() {
    println!("cargo:rerun-if-changed=src/svt/shim.c");
    println!("cargo:rerun-if-changed=src/svt/shim.h");
    #[cfg(feature = "svt-av1")]
    svt_av1();
}

/// Against the header that is installed: the library's structures differ from version to version.
#[cfg(feature = "svt-av1")]
fn svt_av1() {
    let built = cc::Build::new().file("src/svt/shim.c").warnings(true).try_compile("millrace_svt_shim");
    if let Err(error) = built {
        panic!("the feature svt-av1 needs SVT-AV1 1.4 or later: apt install libsvtav1enc-dev\n{error}");
    }
    println!("cargo:rustc-link-lib=SvtAv1Enc");
}
