//! Selection of the instruction set.

use std::{fmt, io::Write as _, sync::OnceLock};

use crate::{Aes256Ctr, self_check};

/// A way to compute the keystream. Not every processor supports every backend.
///
/// ```
/// use ctr_kernel::{Aes256Ctr, Backend};
///
/// let cipher = Aes256Ctr::new(&[7; 32]);
/// assert_eq!(cipher.backend(), Backend::best());
/// let portable = Aes256Ctr::with_backend(&[7; 32], Backend::Portable).expect("always available");
/// let (mut a, mut b) = ([0; 64], [0; 64]);
/// cipher.apply(0, &mut a);
/// portable.apply(0, &mut b);
/// assert_eq!(a, b);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// Four blocks per instruction: `VAES` on 512-bit registers (Intel since Ice Lake, AMD since
    /// Zen 4).
    Vaes512,
    /// Two blocks per instruction: `VAES` on 256-bit registers (AMD since Zen 3, Intel since Alder
    /// Lake).
    Vaes256,
    /// One block per instruction: `AES-NI`.
    AesNi,
    /// One block per instruction: the AES instructions of 64-bit ARM (`FEAT_AES`).
    Armv8,
    /// The `aes` crate, which uses the AES instructions that it knows, and constant-time code
    /// elsewhere.
    Portable,
}

impl Backend {
    /// All backends, fastest first.
    pub const ALL: [Self; 5] =
        [Self::Vaes512, Self::Vaes256, Self::AesNi, Self::Armv8, Self::Portable];

    /// Returns the fastest backend that this processor supports and that passes its self-check.
    ///
    /// The backend is chosen on first use. A backend that computes wrong results is skipped and
    /// reported on standard error, because a wrong keystream would make the data unreadable
    /// forever.
    ///
    /// # Panics
    /// Panics if no backend computes AES correctly, in which case this machine must not encrypt
    /// anything.
    #[must_use]
    #[expect(clippy::panic, reason = "documented; wrong ciphertext is worse")]
    pub fn best() -> Self {
        static BEST: OnceLock<Backend> = OnceLock::new();
        *BEST.get_or_init(|| {
            choose(Self::is_available, self_check::passes, report)
                .unwrap_or_else(|| panic!("no implementation of AES-256 works on this machine"))
        })
    }

    /// Returns `true` if this processor supports the backend.
    #[must_use]
    pub fn is_available(self) -> bool {
        Aes256Ctr::with_backend(&[0; 32], self).is_some()
    }

    /// Returns the conventional name of the instruction set. That of [`Portable`](Self::Portable)
    /// says whether it uses AES instructions on this processor.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Vaes512 => "VAES-512",
            Self::Vaes256 => "VAES-256",
            Self::AesNi => "AES-NI",
            Self::Armv8 => "ARMv8 AES",
            Self::Portable if aes::hardware_accelerated() => "portable, with AES instructions",
            Self::Portable => "portable, without AES instructions",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn choose(
    is_available: impl Fn(Backend) -> bool,
    passes: impl Fn(Backend) -> bool,
    report: impl Fn(Backend),
) -> Option<Backend> {
    for backend in Backend::ALL.into_iter().filter(|backend| is_available(*backend)) {
        if passes(backend) {
            return Some(backend);
        }
        report(backend);
    }
    None
}

/// Says on standard error that a backend is not used.
fn report(backend: Backend) {
    // Not `eprintln!`, which panics if standard error is closed.
    let _ = writeln!(
        std::io::stderr(),
        "ctr-kernel: AES-256-CTR with {backend} computes wrong results on this machine and \
         will not be used. Please report this, including the processor model."
    );
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_wrong_backend_is_passed_over_and_reported() {
        let [first, second, third, fourth, last] = Backend::ALL;
        let chosen = |is_available: &dyn Fn(Backend) -> bool, passes: &dyn Fn(Backend) -> bool| {
            let reported = RefCell::new(Vec::new());
            let chosen =
                choose(is_available, passes, |backend| reported.borrow_mut().push(backend));
            (chosen, reported.into_inner())
        };
        assert_eq!(chosen(&|_| true, &|_| true), (Some(first), vec![]));
        assert_eq!(chosen(&|_| true, &|it| it != first), (Some(second), vec![first]));
        assert_eq!(chosen(&|it| it != second, &|it| it == third), (Some(third), vec![first]));
        assert_eq!(chosen(&|it| it == fourth, &|_| true), (Some(fourth), vec![]));
        assert_eq!(chosen(&|it| it == last, &|_| true), (Some(last), vec![]));
        assert_eq!(chosen(&|_| true, &|_| false), (None, Backend::ALL.to_vec()));
    }

    #[test]
    fn the_best_is_the_first_that_is_there() {
        let first = Backend::ALL.into_iter().find(|backend| backend.is_available());
        assert_eq!(Some(Backend::best()), first);
    }

    #[test]
    fn backends_have_the_names_of_their_instructions() {
        let [names @ .., last] = Backend::ALL.map(Backend::name);
        assert_eq!(names, ["VAES-512", "VAES-256", "AES-NI", "ARMv8 AES"]);
        let used = if aes::hardware_accelerated() { "with" } else { "without" };
        assert_eq!(last, format!("portable, {used} AES instructions"));
        assert_eq!(Backend::ALL.map(|it| it.to_string()), Backend::ALL.map(Backend::name));
    }
}
