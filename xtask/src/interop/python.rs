//! SDKs from PyPI, in the virtual environments of the other tests.

use super::{Driver, Sdk, sources};
use crate::{root, sdks};

/// The requirements, the driver, and the SDK with the version that the requirements pin.
const SDKS: [(&str, &str, Sdk); 4] = [
    ("requirements-oss2-v1.txt", "drive_oss2.py", Sdk::oss("oss2", "2.9.1")),
    ("requirements-oss2.txt", "drive_oss2.py", Sdk::oss("oss2", "2.19.1")),
    ("requirements-oss2.txt", "drive_oss_v2.py", Sdk::oss("alibabacloud-oss-v2", "1.4.1")),
    ("requirements-oss2.txt", "drive_cos.py", Sdk::cos("cos-python-sdk-v5", "1.9.44")),
];

pub(super) fn drivers() -> Result<Vec<Driver>, String> {
    let drivers = SDKS.iter().map(|(requirements, program, sdk)| {
        let python = sdks::environment(&root().join("fixtures/make").join(requirements))?;
        let program = sources("python").join(program);
        // Without -B, Python would write its caches beside the sources.
        Ok(sdk.driver(vec![
            python.display().to_string(),
            "-B".to_owned(),
            program.display().to_string(),
        ]))
    });
    drivers.collect()
}
