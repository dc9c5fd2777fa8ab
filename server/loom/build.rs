//! Builds this package, and nothing else, with `cfg(loom)`.

fn main() {
    // As `RUSTFLAGS="--cfg loom"` would do it, dependencies change under that flag and would all be built once more.
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
