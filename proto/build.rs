//! Compiles link.proto and handoff.proto without an installed `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=link.proto");
    println!("cargo:rerun-if-changed=handoff.proto");
    let files = protox::compile(["link.proto", "handoff.proto"], ["."])?;
    tonic_prost_build::configure()
        .codec_path("crate::codec::BoundedCodec")
        .bytes(".")
        // Far larger than what mostly comes, which would pay for its room.
        .boxed(".campanile.link.v1.TopicServerItem.item.match")
        .compile_fds(files)?;
    Ok(())
}
