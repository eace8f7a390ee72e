//! Link settings: the module finds libduckdb.so beside itself, in the folder `pg_pond`.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg-cdylib=-Wl,-rpath,$ORIGIN/pg_pond");
    println!("cargo:rustc-link-arg-cdylib=-Wl,--disable-new-dtags");
}
