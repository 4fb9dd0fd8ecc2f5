//! SDKs from the Go module proxy.

use std::process::Command;

use super::{Driver, Sdk, exists, folder, patiently, sources};
use crate::run::run;

/// The folder of the driver, the file that pins its modules, and the SDK.
const SDKS: [(&str, &str, Sdk); 4] = [
    ("oss-v1", "go-2.mod", Sdk::oss("aliyun-oss-go-sdk", "2.2.10")),
    ("oss-v1", "go.mod", Sdk::oss("aliyun-oss-go-sdk", "3.0.2")),
    ("oss-v2", "go.mod", Sdk::oss("alibabacloud-oss-go-sdk-v2", "1.6.1")),
    ("cos", "go.mod", Sdk::cos("cos-go-sdk-v5", "0.7.75")),
];

pub(super) fn drivers() -> Result<Vec<Driver>, String> {
    let has_go = exists("go");
    let driver = |(module, pins, sdk): &(&str, &str, Sdk)| {
        if !has_go {
            return Ok(sdk.skipped("Go is not installed"));
        }
        let go = |arguments: &[&str]| {
            let mut command = Command::new("go");
            command
                .args(arguments)
                .current_dir(sources("go").join(module))
                .env("GOFLAGS", format!("-modcacherw -mod=readonly -modfile={pins}"))
                .env("GOTOOLCHAIN", "local")
                .env("CGO_ENABLED", "0")
                .env("GOMODCACHE", folder().join("go/mod"))
                .env("GOCACHE", folder().join("go/build"));
            command
        };
        if patiently(|| run(&mut go(&["mod", "download"]))).is_err() {
            return Ok(sdk.skipped("the Go module proxy does not answer"));
        }
        let Sdk { name, version, .. } = sdk;
        let program = folder().join("go/bin").join(format!("{name}-{version}"));
        run(go(&["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&program).arg("."))?;
        Ok(sdk.driver(vec![program.display().to_string()]))
    };
    SDKS.iter().map(driver).collect()
}
