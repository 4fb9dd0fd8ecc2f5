//! The kernels of this processor: those of its architecture.

#[cfg(target_arch = "aarch64")]
pub(crate) use crate::arm::{Kernel, Register};
#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
pub(crate) use crate::none::{Kernel, Register};
#[cfg(target_arch = "x86_64")]
pub(crate) use crate::x86::{Kernel, Register};
