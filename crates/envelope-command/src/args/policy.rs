//! Arguments that decide what may be read. All of them become one [`Policy`].

use clap::ValueEnum;
use envelope_core::Policy;

/// The protection that every object must have.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Require {
    /// Refuse objects that lack this protection, whatever their metadata says: `authenticated`
    /// accepts only bodies that are authenticated, by AES-GCM or by the seal, and read as a whole;
    /// `seal` accepts only objects with a seal; `origin` only those with a seal that was made with
    /// the origin key; `key-check` only metadata with a key check or a seal. Without it, anyone who
    /// can write to the bucket can relabel objects or remove the seal.
    #[arg(long, value_name = "PROTECTION", value_delimiter = ',')]
    require: Vec<Requirement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Requirement {
    Authenticated,
    KeyCheck,
    Origin,
    Seal,
}

/// Exceptions that the user allows.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Accept {
    #[command(flatten)]
    require: Require,
    /// Allow a range of an AES-GCM object, or of one whose seal is required. Neither covers a part
    /// of the body.
    #[arg(long, requires = "range")]
    unauthenticated_range: bool,
    /// Copy an object without encryption metadata unchanged. Anyone who can strip the metadata can
    /// then substitute arbitrary data.
    #[arg(long)]
    allow_plaintext: bool,
}

impl Require {
    /// Returns the policy. A person at a shell is not an oracle, and wants the data: everything
    /// that any SDK has written or reads is accepted, unless it is excluded here.
    pub(crate) fn policy(&self) -> Policy {
        self.require.iter().fold(Policy::lenient(), |policy, requirement| match requirement {
            Requirement::Authenticated => policy.authenticated_only(),
            Requirement::KeyCheck => policy.require_key_check(),
            Requirement::Origin => policy.require_origin(),
            Requirement::Seal => policy.require_seal(),
        })
    }
}

impl Require {
    /// Requires one more thing.
    pub(crate) fn push(&mut self, requirement: Requirement) {
        self.require.push(requirement);
    }

    /// Returns whether an object without encryption lacks the required protection.
    pub(crate) const fn demands_encryption(&self) -> bool {
        !self.require.is_empty()
    }
}

impl Accept {
    /// Returns what a reader accepts that makes no exceptions.
    pub(crate) const fn requiring(require: Require) -> Self {
        Self { require, unauthenticated_range: false, allow_plaintext: false }
    }

    pub(crate) const fn require_mut(&mut self) -> &mut Require {
        &mut self.require
    }

    /// Returns whether an object without encryption lacks the required protection.
    pub(crate) const fn demands_encryption(&self) -> bool {
        self.require.demands_encryption()
    }

    pub(crate) fn policy(&self) -> Policy {
        let mut policy = self.require.policy();
        if self.unauthenticated_range {
            policy = policy.allow_unauthenticated_ranges();
        }
        if self.allow_plaintext {
            policy = policy.allow_plaintext();
        }
        policy
    }
}
