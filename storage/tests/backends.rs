//! The conformance suite on every backend. S3 runs where `SPANLAKE_TEST_S3_ENDPOINT`, `..._BUCKET`, `..._ACCESS_KEY` and
//! `..._SECRET_KEY` name a server.

use spanlake_storage::{Backend, Config, S3Config, Secret, Store, conformance};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    let store = Store::memory();
    assert_eq!(store.backend(), Backend::Memory);
    conformance::all(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directory() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let url = root.path().join("made/on/open").display().to_string();
    let store = Store::open(&Config { url: url.clone(), ..Config::default() }).expect("open");
    assert_eq!(store.backend(), Backend::Directory);
    conformance::all(&store).await;
    let again = Store::open(&Config { url: format!("file://{url}"), ..Config::default() }).expect("open again");
    assert!(!again.list("conformance/", None).await.expect("list").is_empty());
    let left = std::fs::read_dir(root.path().join("made/on/open/.spanlake/tmp")).expect("the directory").count();
    assert_eq!(left, 0, "temporary files left behind");
}

/// The settings of the S3 server that the environment names, with another prefix on every call.
fn s3() -> Option<Config> {
    let variable = |name: &str| std::env::var(format!("SPANLAKE_TEST_S3_{name}")).ok();
    let prefix = format!("storage-tests/{:x}", std::process::id());
    Some(Config {
        url: format!("s3://{}/{prefix}", variable("BUCKET")?),
        s3: S3Config {
            endpoint: variable("ENDPOINT")?,
            access_key_id: variable("ACCESS_KEY")?,
            secret_access_key: Secret::new(variable("SECRET_KEY")?),
            allow_http: true,
            ..S3Config::default()
        },
        ..Config::default()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_server() {
    let Some(config) = s3() else {
        eprintln!("skipped: SPANLAKE_TEST_S3_ENDPOINT names no server");
        return;
    };
    let store = Store::open(&config).expect("open");
    assert_eq!(store.backend(), Backend::Remote);
    conformance::all(&store).await;
    for object in store.list("", None).await.expect("list") {
        store.delete(&object.key).await.expect("delete");
    }
}

#[tokio::test]
async fn an_s3_server_says_what_is_wrong() {
    let Some(config) = s3() else { return };
    let denied =
        Config { s3: S3Config { secret_access_key: Secret::new("wrong"), ..config.s3.clone() }, ..config.clone() };
    let error = Store::open(&denied).expect("open").probe().await.expect_err("a wrong secret");
    assert!(error.to_string().contains("listing failed"), "{error}");
    let error = Store::open(&denied).expect("open").get("a").await.expect_err("a wrong secret");
    assert_eq!(error.kind(), spanlake_storage::Kind::Denied, "{error}");
    let absent = Config { url: "s3://no-such-bucket-here/p".to_owned(), ..config };
    let error = Store::open(&absent).expect("open").probe().await.expect_err("no bucket");
    assert!(error.to_string().contains("bucket does not exist"), "{error}");
}
