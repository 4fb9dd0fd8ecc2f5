//! SDKs from Maven Central.

use std::{fs, path::Path, process::Command};

use super::{Driver, Sdk, exists, folder, patiently, sources};
use crate::run::run;

/// The driver of an SDK.
struct Java {
    /// The folder, which has the `pom.xml` and `Driver.java`.
    folder: &'static str,
    /// The other sources.
    more: &'static [&'static str],
    /// Flags of the Java virtual machine.
    flags: &'static [&'static str],
    sdk: Sdk,
}

const SDKS: [Java; 7] = [
    Java {
        folder: "oss-v1",
        more: &["Relay.java", "oss-v1/with-kms/Kms.java", "oss-v1/with-kms/PlainHttp.java"],
        flags: &[],
        sdk: Sdk::oss("aliyun-sdk-oss", "3.18.4"),
    },
    Java {
        folder: "oss-v1",
        // This version has no keys in a KMS any more.
        more: &["Relay.java", "oss-v1/without-kms/Kms.java"],
        flags: &[],
        sdk: Sdk::oss("aliyun-sdk-oss", "3.18.5"),
    },
    Java {
        folder: "oss-v2",
        more: &[],
        flags: &[],
        sdk: Sdk::oss("alibabacloud-oss-v2 (Java)", "0.4.0"),
    },
    Java {
        folder: "cos",
        more: &["Relay.java", "cos/legacy/Api.java"],
        flags: &[],
        sdk: Sdk::cos("cos_api", "5.4.10"),
    },
    Java {
        folder: "cos",
        more: &["Relay.java", "cos/unified/Api.java"],
        flags: &[],
        sdk: Sdk::cos("cos_api", "5.6.50"),
    },
    Java {
        folder: "cos",
        more: &["Relay.java", "cos/unified/Api.java"],
        flags: &[],
        sdk: Sdk::cos("cos_api", "5.6.265"),
    },
    Java {
        folder: "hadoop-cos",
        more: &["Relay.java", "hadoop-cos/Tunnel.java"],
        // The SDK maps files with a class of the JDK, which has to be opened to it since Java 9.
        flags: &["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED"],
        sdk: Sdk::cos("hadoop-cos", "3.3.3-8.3.10"),
    },
];

pub(super) fn drivers() -> Result<Vec<Driver>, String> {
    let missing = ["javac", "mvn"].into_iter().find(|program| !exists(program));
    let driver = |java: &Java| match missing {
        Some(program) => Ok(java.sdk.skipped(&format!("{program} is not installed"))),
        None => java.driver(),
    };
    SDKS.iter().map(driver).collect()
}

impl Java {
    fn driver(&self) -> Result<Driver, String> {
        let Self { folder: name, more, flags, sdk } = self;
        let place = folder().join("java").join(format!("{name}-{}", sdk.version));
        let (library, classes) = (place.join("lib"), place.join("classes"));
        let pom = sources("java").join(name).join("pom.xml");
        if patiently(|| resolve(&pom, sdk.version, &library)).is_err() {
            return Ok(sdk.skipped("Maven Central does not answer"));
        }
        let jars = library.join("*");
        fs::create_dir_all(&classes).map_err(|error| format!("{}: {error}", classes.display()))?;
        let driver = format!("{name}/Driver.java");
        run(Command::new("javac")
            .args(["-encoding", "UTF-8", "-nowarn", "-d"])
            .arg(&classes)
            .arg("-cp")
            .arg(&jars)
            .args(["Protocol.java", &driver])
            .args(*more)
            .current_dir(sources("java")))?;
        let mut command = vec!["java".to_owned()];
        command.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let path = format!("{}:{}", classes.display(), jars.display());
        command.extend(["-cp".to_owned(), path, "Driver".to_owned()]);
        Ok(sdk.driver(command))
    }
}

/// Copies the jars that a driver needs, unless they are there already.
fn resolve(pom: &Path, version: &str, library: &Path) -> Result<(), String> {
    let wanted = fs::read_to_string(pom).map_err(|error| format!("{}: {error}", pom.display()))?;
    let made = library.join("made-from.txt");
    let wanted = format!("{version}\n{wanted}");
    if fs::read_to_string(&made).is_ok_and(|text| text == wanted) {
        return Ok(());
    }
    run(Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(pom)
        .arg(format!("-Dmaven.repo.local={}", folder().join("maven").display()))
        .arg(format!("-Dsdk.version={version}"))
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", library.display())))?;
    fs::write(&made, wanted).map_err(|error| format!("{}: {error}", made.display()))
}
